package vocab

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// spFamilies lists the families with a tokenizer.model and the form their reference class has.
var spFamilies = map[string]string{
	"mixtral":      "llama",
	"mixtral-8":    "llama",
	"phi-3.5-moe":  "phi",
	"ernie4.5-moe": "ernie",
}

// Metadata of the families with a tokenizer.model equals what convert_hf_to_gguf.py wrote, score bits included.
func TestSentencePieceFamilies(t *testing.T) {
	families := []string{"mixtral-8"}
	if testdata.Full() {
		families = slices.Sorted(maps.Keys(spFamilies))
	}
	for _, family := range families {
		dirs, err := filepath.Glob(testdata.Path("families", family, "*", "tokenizer.model"))
		if err != nil || len(dirs) != 1 {
			t.Fatalf("%s: %d checkpoints, %v", family, len(dirs), err)
		}
		size := 0
		if testdata.Full() { // the copy at hand is the tokenizer alone
			size = openFixture(t, family).vocabSize
		}
		v, err := Load(os.DirFS(filepath.Dir(dirs[0])), Options{VocabSize: size, Forms: []string{spFamilies[family]}})
		if err != nil {
			t.Fatal(err)
		}
		keys, want := readGolden(t, testdata.Path("families", family, "golden", "gguf-f32.json"))
		compareVocab(t, family, v, keys, want)
	}
}

// compareVocab wants keys in this order and their values.
func compareVocab(t *testing.T, what string, v *Vocab, keys []string, want map[string]kv) {
	t.Helper()
	var md gguf.Metadata
	v.AddTo(&md)
	var got []string
	for k, value := range md.All() {
		got = append(got, k)
		w, ok := want[k]
		if !ok {
			continue
		}
		if scores, ok := value.([]float32); ok {
			compareScores(t, what+": "+k, scores, w)
			continue
		}
		compareKV(t, k, value, w)
	}
	if !slices.Equal(got, keys) {
		t.Errorf("%s: keys\n%q, want\n%q", what, got, keys)
	}
	if t.Failed() {
		t.Logf("so far: %s", what)
	}
}

// compareScores compares by bits: the goldens hash floats as the integers their bits are.
func compareScores(t *testing.T, what string, got []float32, want kv) {
	t.Helper()
	bits := make([]uint32, len(got))
	for i, f := range got {
		bits[i] = math.Float32bits(f)
	}
	if want.Value != nil {
		var list []float32
		if err := json.Unmarshal(want.Value, &list); err != nil || !slices.Equal(got, list) {
			t.Errorf("%s: %v, want %s", what, got, want.Value)
		}
		return
	}
	if h := hash(compact(t, bits)); h != want.SHA || len(got) != want.Len {
		t.Errorf("%s: %d of sha256 %s, want %d of %s", what, len(got), h, want.Len, want.SHA)
	}
}

// BenchmarkTokenizerModel reads a real tokenizer.model of 32000 pieces.
func BenchmarkTokenizerModel(b *testing.B) {
	f, err := os.Open(testdata.Path("tokenizers", "mistral_v1", "tokenizer.model.gz"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	files := fstest.MapFS{"tokenizer.model": {Data: data}}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Load(files, Options{Forms: []string{"sentencepiece"}}); err != nil {
			b.Fatal(err)
		}
	}
}

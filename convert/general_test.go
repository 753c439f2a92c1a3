package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// loadGeneral decodes a JSON file with numbers as they are written.
func loadGeneral(t *testing.T, v any, elem ...string) {
	t.Helper()
	text, err := os.ReadFile(testdata.Path(elem...))
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%s: %v", filepath.Join(elem...), err)
	}
}

// TestModelIDs compares the heuristics on names with gguf-py's get_model_id_components, id_to_title and naming_convention.
func TestModelIDs(t *testing.T) {
	var golden struct {
		Components []struct {
			ID                                               string
			TotalParams                                      int64 `json:"total_params"`
			Organization, Basename, Finetune, Version, Title any
			SizeLabel                                        any    `json:"size_label"`
			Full                                             any    `json:"full_name"`
			File                                             string `json:"file_F16"`
		}
		SizeLabel []struct {
			Total, Shared, Expert, Count int64
			Label                        string
		} `json:"size_label"`
	}
	loadGeneral(t, &golden, "families", "extras", "naming.json")
	if len(golden.Components) < 200 || len(golden.SizeLabel) < 10 {
		t.Fatalf("%d names, %d sizes", len(golden.Components), len(golden.SizeLabel))
	}
	for _, g := range golden.Components {
		got := parseModelID(g.ID, g.TotalParams)
		want := modelID{g.Full, g.Organization, g.Basename, g.Finetune, g.Version, g.SizeLabel}
		if got != want {
			t.Errorf("%s of %d weights:\ngot  %+v\nwant %+v", g.ID, g.TotalParams, got, want)
		}
		title := cardTitle(got.name)
		if g.Full == "" { // the oracle made no title then
			title = nil
		}
		if title != g.Title {
			t.Errorf("%s: title %v, want %v", g.ID, title, g.Title)
		}
		card := &modelCard{values: map[string]any{"name": title, "basename": got.basename, "finetune": got.finetune, "version": got.version, "size_label": got.sizeLabel}}
		if name := (&generalResult{card: card}).fileName("F16"); name != g.File {
			t.Errorf("%s: file name %s, want %s", g.ID, name, g.File)
		}
	}
	for _, g := range golden.SizeLabel {
		if got := (paramCounts{g.Total, g.Shared, g.Expert, g.Count}).sizeLabel(); got != g.Label {
			t.Errorf("size label of %+v: %s, want %s", g, got, g.Label)
		}
	}
}

// cardCase is one model directory with what the reference's Metadata makes of it.
type cardCase struct {
	Dir              string
	Card             string
	Readme           *string
	GenerationConfig json.RawMessage `json:"generation_config"`
	Config           map[string]any
	KV               [][3]any // key, type, value before packing
	Error            string
}

func (c cardCase) input() generalInput {
	in := generalInput{Dir: c.Dir, Config: c.Config, Params: paramCounts{Total: 16_375_728_128}}
	if c.Readme != nil {
		in.Card = []byte(*c.Readme)
	}
	if string(c.GenerationConfig) != "null" {
		in.GenerationConfig = c.GenerationConfig
	}
	return in
}

// TestModelCards compares all keys of front matter variants with gguf-py's Metadata,
// before the values are packed.
func TestModelCards(t *testing.T) {
	var cases []cardCase
	loadGeneral(t, &cases, "families", "extras", "modelcards.json")
	if len(cases) < 50 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		compareCard(t, c)
	}
}

func compareCard(t *testing.T, c cardCase) {
	t.Helper()
	card, err := newModelCard(c.input())
	if c.Error != "" {
		if err == nil {
			t.Errorf("%s, %s: accepted, the reference says %s", c.Dir, c.Card, c.Error)
		} else if !strings.Contains(err.Error(), "README.md") && !strings.Contains(err.Error(), ".json") {
			t.Errorf("%s, %s: message does not name the file: %v", c.Dir, c.Card, err)
		}
		return
	}
	if err != nil {
		t.Errorf("%s, %s: %v", c.Dir, c.Card, err)
		return
	}
	var got, want []string
	for _, f := range card.fields() {
		got = append(got, fmt.Sprintf("%s %s %s", f.key, f.typ, pythonText(f.value)))
	}
	for _, kv := range c.KV {
		if kv[0] != "general.architecture" {
			want = append(want, fmt.Sprintf("%s %s %s", kv[0], kv[1], pythonText(kv[2])))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s, %s (-reference +moeconv):\n%s", c.Dir, c.Card, d)
	}
}

// pythonText writes a value so that types cannot be mistaken: texts quoted, floats by their bits.
func pythonText(v any) string {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return fmt.Sprint(n)
		}
		f, _ := v.Float64()
		return pythonText(f)
	case float64:
		return fmt.Sprintf("float %x", math.Float64bits(v))
	case string:
		return fmt.Sprintf("%q", v)
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = pythonText(x)
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v)
}

// generalGolden is what the tests need of golden/gguf-*.json.
type generalGolden struct {
	KV      generalGoldenKVs
	Tensors []struct {
		Name string
		Type string
		NE   []int64 `json:"ne"`
	}
}

func (g *generalGolden) infos() []gguf.TensorInfo {
	ts := make([]gguf.TensorInfo, len(g.Tensors))
	for i, x := range g.Tensors {
		ts[i] = gguf.TensorInfo{Name: x.Name, Shape: x.NE}
	}
	return ts
}

// generalGoldenKVs keeps the order of a JSON object's members.
type generalGoldenKVs []generalGoldenKV

type generalGoldenKV struct {
	key   string
	Type  string
	Value any
	Bits  *uint32
}

func (o *generalGoldenKVs) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		kv := generalGoldenKV{key: key.(string)}
		if err := dec.Decode(&kv); err != nil {
			return err
		}
		*o = append(*o, kv)
	}
	return nil
}

// general lists the keys that generalMetadata makes.
func (o generalGoldenKVs) general() []string {
	var out []string
	for _, kv := range o {
		switch {
		case !strings.HasPrefix(kv.key, "general."), kv.key == "general.architecture", kv.key == "general.file_type", kv.key == "general.quantization_version":
		case kv.Bits != nil:
			out = append(out, fmt.Sprintf("%s %s bits %d", kv.key, kv.Type, *kv.Bits))
		default:
			out = append(out, fmt.Sprintf("%s %s %v", kv.key, kv.Type, pythonText(kv.Value)))
		}
	}
	return out
}

// packedText writes a packed key as generalGoldenKVs.general does.
func packedText(kv generalKV) string {
	typ, _, _ := gguf.TypeOf(kv.Value)
	switch v := kv.Value.(type) {
	case float32:
		return fmt.Sprintf("%s %s bits %d", kv.Key, typ, math.Float32bits(v))
	case string:
		return fmt.Sprintf("%s %s %q", kv.Key, typ, v)
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		return fmt.Sprintf("%s %s %s", kv.Key, typ, pythonText(list))
	}
	return fmt.Sprintf("%s %s %v", kv.Key, typ, kv.Value)
}

// familyInput is the input for a checkpoint of the fixtures.
func familyInput(t *testing.T, dir string, ts []gguf.TensorInfo) generalInput {
	t.Helper()
	in := generalInput{Dir: filepath.Base(dir), Params: countParams(ts)}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return b
	}
	in.Card, in.GenerationConfig = read("README.md"), read(generationFile)
	v, err := cardJSON(read("config.json"))
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	in.Config = v.(map[string]any)
	return in
}

// TestFamilyGenerals compares the packed keys with every file that the reference
// converter wrote of the fixtures, and the file's name with the one it chooses.
func TestFamilyGenerals(t *testing.T) {
	var names map[string]map[string]string
	loadGeneral(t, &names, "families", "extras", "default-names.json")
	configs, err := filepath.Glob(testdata.Path("families", "*", "*", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, config := range configs {
		dir := filepath.Dir(config)
		family := filepath.Base(filepath.Dir(dir))
		goldens, err := filepath.Glob(testdata.Path("families", family, "golden", "gguf-*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range goldens {
			files++
			var g generalGolden
			out := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "gguf-"), ".json")
			loadGeneral(t, &g, "families", family, "golden", filepath.Base(path))
			r, err := generalMetadata(familyInput(t, dir, g.infos()))
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			var got []string
			for _, kv := range r.KVs {
				got = append(got, packedText(kv))
			}
			if d := cmp.Diff(g.KV.general(), got); d != "" {
				t.Errorf("%s (-reference +moeconv):\n%s", path, d)
			}
			if want, ok := names[family][out]; ok {
				label := strings.TrimSuffix(want[strings.LastIndex(want, "-")+1:], ".gguf")
				if got := r.fileName(label) + ".gguf"; got != want {
					t.Errorf("%s: default name %s, want %s", path, got, want)
				}
			}
		}
	}
	if want := 5; files < want || testdata.Full() && files < 100 {
		t.Errorf("%d files compared", files)
	}
}

// TestModelName takes the option that names the model from the reference's run with it.
func TestModelName(t *testing.T) {
	var cases []struct {
		Family  string
		Options struct {
			Name string `json:"model_name"`
		}
		Files map[string]generalGolden
	}
	loadGeneral(t, &cases, "families", "extras", "options.json")
	done := 0
	for _, c := range cases {
		dirs, err := filepath.Glob(testdata.Path("families", c.Family, "*", "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		g, ok := c.Files["out.gguf"]
		if c.Options.Name == "" || len(dirs) == 0 || !ok {
			continue
		}
		done++
		in := familyInput(t, filepath.Dir(dirs[0]), g.infos())
		in.Name = c.Options.Name
		r, err := generalMetadata(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, kv := range r.KVs {
			got = append(got, packedText(kv))
		}
		if d := cmp.Diff(g.KV.general(), got); d != "" {
			t.Errorf("%s (-reference +moeconv):\n%s", c.Options.Name, d)
		}
	}
	if done == 0 {
		t.Error("no case of a model name")
	}
}

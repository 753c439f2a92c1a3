package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf"
)

// samplingKeys are the sampling defaults in file order: key, type, and where generation_config.json has them.
var samplingKeys = []struct {
	key  string
	typ  gguf.ValueType
	from []string // the first that is there counts, whatever its value
}{
	{"sequence", gguf.String, []string{"sequence"}},
	{"top_k", gguf.Int32, []string{"top_k"}},
	{"top_p", gguf.Float32, []string{"top_p"}},
	{"min_p", gguf.Float32, []string{"min_p"}},
	{"xtc_probability", gguf.Float32, []string{"xtc_probability"}},
	{"xtc_threshold", gguf.Float32, []string{"xtc_threshold"}},
	{"temp", gguf.Float32, []string{"temperature"}},
	{"penalty_last_n", gguf.Int32, []string{"penalty_last_n"}},
	{"penalty_repeat", gguf.Float32, []string{"penalty_repeat", "repetition_penalty"}},
	{"mirostat", gguf.Int32, []string{"mirostat"}},
	{"mirostat_tau", gguf.Float32, []string{"mirostat_tau"}},
	{"mirostat_eta", gguf.Float32, []string{"mirostat_eta"}},
}

const generationFile = "generation_config.json"

// samplingFields reads the sampling defaults. A file that is not JSON counts as none, as in the reference.
func samplingFields(text []byte) ([]cardField, error) {
	if len(text) == 0 {
		return nil, nil
	}
	if !utf8.Valid(text) {
		return nil, cardErrorf(generationFile, "not UTF-8")
	}
	v, err := cardJSON(text)
	if err != nil || !pyTruthy(v) {
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, cardErrorf(generationFile, "is %s, not an object", describeValue(v))
	}
	var fs []cardField
	for _, k := range samplingKeys {
		for _, from := range k.from {
			v, ok := m[from]
			if !ok {
				continue
			}
			if v != nil && (k.typ != gguf.String || pyTruthy(v)) {
				fs = append(fs, cardField{"general.sampling." + k.key, k.typ, v, generationFile})
			}
			break
		}
	}
	return fs, nil
}

// cardJSON reads one JSON value, numbers as they are written.
func cardJSON(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

package convert

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// TestDamagedTinyFiles does to the trained model's files what the cases of bad/ have suffered.
func TestDamagedTinyFiles(t *testing.T) {
	const file = "model.safetensors"
	up := tinyExpert + "up_proj.weight"
	set := func(tensor, field string, v any) func(*testing.T, *tinyModel) {
		return func(t *testing.T, m *tinyModel) {
			m.header[tensor][field] = v
			m.files[file] = &fstest.MapFile{Data: m.raw(t)}
		}
	}
	edit := func(f func([]byte) []byte) func(*testing.T, *tinyModel) {
		return func(t *testing.T, m *tinyModel) { m.files[file] = &fstest.MapFile{Data: f(m.files[file].Data)} }
	}
	tests := []struct {
		name   string
		damage func(*testing.T, *tinyModel)
		want   []string
	}{
		{"truncated data", edit(func(b []byte) []byte { return b[:len(b)-1000] }), []string{file, "data section"}},
		{"header beyond file", edit(func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b, uint64(len(b)))
			return b
		}), []string{file, "header length"}},
		{"huge header", edit(func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b, 1<<62)
			return b
		}), []string{file, "4611686018427387904"}},
		{"header not JSON", edit(func(b []byte) []byte {
			b[9] = 0xff
			return b
		}), []string{file, "JSON"}},
		{"empty", edit(func([]byte) []byte { return nil }), []string{file, "too short"}},
		{"git-lfs", edit(func([]byte) []byte {
			return []byte("version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 8950000\n")
		}), []string{file, "git-lfs"}},
		{"no file", func(_ *testing.T, m *tinyModel) { delete(m.files, file) }, []string{"safetensors"}},
		{"overlap", set("model.norm.weight", "data_offsets", []int{0, 512}), []string{"overlap"}},
		{"unknown dtype", set(up, "dtype", "F12_WEIRD"), []string{up, "F12_WEIRD"}},
		{"shape and size", set(up, "shape", []int{256, 257}), []string{up, "131584", "131072"}},
		{"negative shape", set(up, "shape", []int{-256, 256}), []string{up, "-256"}},
		{"overflow", set(up, "shape", []int64{1 << 33, 1 << 33}), []string{up, "overflow"}},
		{"reversed offsets", set(up, "data_offsets", []int{4096, 2048}), []string{up, "end before they begin"}},
		{"config missing", func(_ *testing.T, m *tinyModel) { delete(m.files, "config.json") }, []string{"no config.json"}},
		{"config not JSON", func(_ *testing.T, m *tinyModel) {
			m.files["config.json"].Data = m.files["config.json"].Data[:200]
		}, []string{"config.json: not valid JSON at byte"}},
		{"config of two documents", func(_ *testing.T, m *tinyModel) {
			m.files["config.json"].Data = append(m.files["config.json"].Data, "{}"...)
		}, []string{"config.json: not valid JSON at byte"}},
		{"config is a list", func(_ *testing.T, m *tinyModel) { m.files["config.json"].Data = []byte("[1]") }, []string{"config.json: must be an object"}},
	}
	for i, tt := range tests {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			m := openTiny(t)
			tt.damage(t, m)
			checkDamage(t, m, tt.want)
		})
	}
}

// TestDamagedTinyIndex cuts the trained model in two shards and damages their index.
func TestDamagedTinyIndex(t *testing.T) {
	const (
		index  = "model.safetensors.index.json"
		first  = "model-00001-of-00002.safetensors"
		second = "model-00002-of-00002.safetensors"
		norm   = "model.norm.weight"
	)
	tests := []struct {
		name   string
		damage func(t *testing.T, m *tinyModel, weightMap map[string]string)
		want   []string
	}{
		{"missing shard", func(_ *testing.T, m *tinyModel, _ map[string]string) { delete(m.files, second) }, []string{"missing shard " + second}},
		{"names missing tensor", func(_ *testing.T, _ *tinyModel, w map[string]string) { w["model.layers.0.extra.weight"] = second }, []string{"model.layers.0.extra.weight", "in no shard"}},
		{"unlisted tensor", func(_ *testing.T, _ *tinyModel, w map[string]string) { delete(w, norm) }, []string{norm, "not in"}},
		{"path traversal", func(_ *testing.T, _ *tinyModel, w map[string]string) { w[norm] = "../" + first }, []string{"../" + first, "leaves the model directory"}},
		{"duplicate", func(t *testing.T, m *tinyModel, w map[string]string) {
			names := m.names()
			i := slices.Index(names, norm)
			if w[norm] == first {
				m.files[second].Data = m.pack(t, append(slices.Clone(names[len(names)/2:]), norm))
			} else {
				m.files[first].Data = m.pack(t, append(slices.Clone(names[:len(names)/2]), names[i]))
			}
		}, []string{norm, "in two shards"}},
		{"no weight_map", nil, []string{index, "no weight_map"}},
		{"not JSON", nil, []string{index, "JSON"}},
		{"control", func(*testing.T, *tinyModel, map[string]string) {}, nil},
	}
	for i, tt := range tests {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			m := openTiny(t)
			names := m.names()
			half := len(names) / 2
			delete(m.files, "model.safetensors")
			m.files[first] = &fstest.MapFile{Data: m.pack(t, names[:half])}
			m.files[second] = &fstest.MapFile{Data: m.pack(t, names[half:])}
			weightMap := map[string]string{}
			for i, n := range names {
				weightMap[n] = first
				if i >= half {
					weightMap[n] = second
				}
			}
			if tt.damage != nil {
				tt.damage(t, m, weightMap)
			}
			m.files[index] = &fstest.MapFile{Data: mustJSON(t, map[string]any{"weight_map": weightMap})}
			switch tt.name {
			case "no weight_map":
				m.files[index].Data = []byte(`{"metadata":{}}`)
			case "not JSON":
				m.files[index].Data = m.files[index].Data[:30]
			}
			if tt.want == nil {
				if p, err := NewPlan(m.files, Options{Name: testdata.TinyName}); err != nil {
					t.Error(err)
				} else {
					p.Close()
				}
				return
			}
			checkDamage(t, m, tt.want)
		})
	}
}

// checkDamage expects a plan of the files to fail with a message that names the cause, as bad data.
func checkDamage(t *testing.T, m *tinyModel, want []string) {
	t.Helper()
	_, err := NewPlan(m.files, Options{Name: testdata.TinyName})
	checkMessage(t, err, want)
	var unsupported *gguf.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Errorf("is an UnsupportedError: %v", err)
	}
}

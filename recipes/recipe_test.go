package recipes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func writeRecipe(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEmbedded(t *testing.T) {
	for _, name := range Names() {
		r, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Wanted()) == 0 {
			t.Errorf("%s: no outputs", name)
		}
	}
}

// Every rule of the format has a recipe that breaks it.
func TestRefusals(t *testing.T) {
	const good = "moeconv: 1\noutputs: {types: [Q8_0]}\n"
	cases := map[string]struct{ text, want string }{
		"no version":       {"outputs: {types: [Q8_0]}", "key moeconv"},
		"other version":    {"moeconv: 2\noutputs: {types: [Q8_0]}", "format 2"},
		"unknown key":      {good + "colour: blue", "colour"},
		"unknown deep key": {good + "verify: {chunk: 3}", "chunk"},
		"wrong type":       {good + "verify: {chunks: many}", "many"},
		"duplicate key":    {good + "name: a\nname: b", "already defined"},
		"no outputs":       {"moeconv: 1", "outputs"},
		"unknown scheme":   {"moeconv: 1\noutputs: {types: [Q9_Z]}", "Q9_Z"},
		"label twice":      {"moeconv: 1\noutputs: {types: [Q8_0, q8_0]}", "twice"},
		"bad size":         {"moeconv: 1\noutputs: {types: [Q8_0], split: {max_size: big}}", "big"},
		"no label in name": {"moeconv: 1\noutputs: {types: [Q8_0], single: x.gguf}", "{label}"},
		"unknown fix":      {good + "fixes: [{everything: true}]", "everything"},
		"fix not a map":    {good + "fixes: [tokenizer.add_bos]", "tokeniz"},
		"metadata type":    {good + "metadata: {general.x: {text: a}}", "text"},
		"metadata value":   {good + "metadata: {general.x: {u32: -1}}", "u32"},
		"name is a path":   {good + "name: ../x", "plain file name"},
		"probe unnamed":    {good + "verify: {probes: [{prompt: x}]}", "a name, a prompt"},
		"not yaml":         {good + "\t:", "yaml"},
		"unknown mixture":  {"moeconv: 1\noutputs: {extra: [{type: Q2_K, mix: best}]}", "best"},
		"unknown holes":    {good + "imatrix: {file: x.gguf, holes: none}", "imatrix.holes"},
		"strange optional": {"moeconv: 1\noutputs: {types: [Q8_0], optional: [Q4_K_M]}", "no output has the label Q4_K_M"},
		"file of no use":   {good + "files: [{path: x.gguf}]", "files[0]"},
		"files of a name":  {good + "files: [{path: a/x, about: a}, {path: b/x, about: b}]", "two files"},
		"bench rarely":     {good + "bench: {when: rarely}", "bench.when"},
		"bench where":      {good + "bench: {when: endpoint}", "endpoint"},
		"bench suite":      {good + "bench: {when: always, suite: odd}", "bench.suite"},
		"disk":             {good + "disk: large", "key disk"},
		"missing parent":   {good + "extends: nowhere.yaml", "nowhere.yaml"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Load(writeRecipe(t, "r.yaml", c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want mention of %q", err, c.want)
			}
		})
	}
}

func TestExtends(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"base.yaml": "moeconv: 1\nname: base\nmetadata: {general.quantized_by: {str: me}}\noutputs: {types: [Q2_K, Q4_0], single: '{label}.gguf'}\n",
		"x.yaml":    "extends: base.yaml\noutputs: {types: [Q8_0]}\n",
		"loop.yaml": "extends: loop.yaml\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Load(filepath.Join(dir, "x.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "base" || r.Outputs.Single != "{label}.gguf" || len(r.Wanted()) != 1 || r.Wanted()[0].Label != "Q8_0" {
		t.Errorf("maps merge and lists replace: got %+v", r)
	}
	md := &gguf.Metadata{}
	if err := r.applyMetadata(md); err != nil {
		t.Fatal(err)
	}
	if v, _ := gguf.Value[string](md, "general.quantized_by"); v != "me" {
		t.Errorf("general.quantized_by = %q", v)
	}
	for name, text := range map[string]string{
		"house/h.yaml": "", "a/up.yaml": "extends: ../base.yaml\n", "a/empty.yaml": "moeconv: 1\nextends: ../house/h.yaml\noutputs: {types: [Q8_0]}\n",
		"a/embedded.yaml": "extends: deepseek\nname: mine\n",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"up": "base", "empty": "", "embedded": "mine"} {
		if r, err := Load(filepath.Join(dir, "a", name+".yaml")); err != nil || r.Name != want {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := Load(filepath.Join(dir, "loop.yaml")); err == nil || !strings.Contains(err.Error(), "extends itself") {
		t.Errorf("loop: %v", err)
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"50G": 50e9, "50GB": 50e9, "512MiB": 512 << 20, "1.5K": 1500, "7": 7, "24GiB": 24 << 30, "2 M": 2e6,
	} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1G", "G", "1e400", "nan", "12X", "99999999T"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d", s, got)
		}
	}
}

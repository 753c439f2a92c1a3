package hub

import (
	"strings"
	"testing"
)

// TestLabel: the first names and their labels are those of huggingface.js's own tests (packages/gguf/src/gguf.spec.ts).
func TestLabel(t *testing.T) {
	for name, want := range map[string]string{
		"Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf":        "Q4_K_M",
		"subdir/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf": "Q4_K_M",
		"Codestral-22B-v0.1-Q2_K.gguf":                  "Q2_K",
		"Codestral-22B-v0.1.gguf":                       "",
		"Codestral-22B-v0.1-F32-Q2_K.gguf":              "Q2_K",
		"Codestral-22B-v0.1-IQ3_XS.gguf":                "IQ3_XS",
		"Codestral-22B-v0.1-Q4_0_4_4.gguf":              "Q4_0",
		"Qwen3-4B-UD-Q2_K_XL.gguf":                      "UD-Q2_K_XL",
		"gpt-oss-20b-MXFP4.gguf":                        "MXFP4",
		"Qwable-v1-35B-A3B-MXFP4_MOE.gguf":              "MXFP4_MOE",

		"Foo-Q4_K_M-distill-Q8_0.gguf":             "Q8_0",
		"foo-q8_0-00001-of-00002.gguf":             "Q8_0",
		"Foo-Q2_K_L.gguf":                          "Q2_K_L",
		"Model-55IQ2_XXS-34Q2_K-07Q8_0-03F16.gguf": "IQ2_XXS",
	} {
		if got := Label(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestTag(t *testing.T) {
	for name, want := range map[string]string{
		"Foo-Q4_K_M.gguf": "Q4_K_M", "Foo-Q4_K_M/Foo-Q4_K_M-00002-of-00003.gguf": "Q4_K_M", "Foo-UD-IQ2_M.gguf": "UD-IQ2_M",
		"foo.q8_0.gguf": "Q8_0", "Foo-MXFP4.gguf": "MXFP4", "Foo-I-Compact.gguf": "COMPACT", "Foo-Q4_K_M-distill-Q8_0.gguf": "Q8_0",
		"Foo-Q4_K_M-distill.gguf": "DISTILL", "foo.gguf": "",
	} {
		if got := Tag(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestCheckNames: a plan is a list of models, NAME or NAME=TAG, and other files after a bar.
func TestCheckNames(t *testing.T) {
	for name, c := range map[string]struct {
		plan string
		want []string
	}{
		"usual":                      {"Foo-Q8_0.gguf Foo-Q4_K_M.gguf Foo-IQ2_XXS.gguf Foo-Q2_K.gguf Foo-Q2_K_S.gguf | Foo-imatrix.gguf mmproj-F16.gguf README.md", nil},
		"folders":                    {"Foo-Q8_0/Foo-Q8_0-00001-of-00002.gguf Foo-Q4_K_M.gguf | Foo-Q8_0/Foo-Q8_0-00002-of-00002.gguf", nil},
		"sibling of Unsloth Dynamic": {"Foo-Q4_K_M.gguf Foo-UD-Q4_K_M.gguf", nil},
		"sibling that comes first":   {"UD-Q4_K_M/Foo-UD-Q4_K_M.gguf Foo-Q4_K_M.gguf", []string{"Foo-Q4_K_M.gguf: llama-server -hf finds UD-Q4_K_M/Foo-UD-Q4_K_M.gguf by the tag Q4_K_M"}},
		"dynamic one alone":          {"Foo-UD-Q4_K_XL.gguf", nil},
		"mtp in the name":            {"Foo-mtp-Q8_0.gguf", []string{`Foo-mtp-Q8_0.gguf: llama.cpp takes no file with "mtp-"`}},
		"a type in the model's name": {"Foo-Q4_K_M-distill-Q8_0.gguf", []string{"Foo-Q4_K_M-distill-Q8_0.gguf: llama-server -hf finds it by the tag Q4_K_M, and it is Q8_0"}},
		"the same with that type":    {"Foo-Q4_K_M-distill-Q8_0.gguf Foo-Q4_K_M-distill-BF16.gguf Foo-Q4_K_M-distill-Q4_K_M.gguf", []string{"Foo-Q4_K_M-distill-Q4_K_M.gguf: llama-server -hf finds Foo-Q4_K_M-distill-BF16.gguf"}},
		"type before the end":        {"Foo-Q8_0-Q4_K_M-v2.gguf=Q8_0", []string{"the Hub labels it Q4_K_M", "by the tag Q4_K_M, and it is Q8_0"}},
		"MXFP4 beside MXFP4_MOE":     {"Foo-MXFP4.gguf Foo-MXFP4_MOE.gguf", nil},
		"BF16 beside F16":            {"Foo-BF16.gguf Foo-F16.gguf", []string{"Foo-F16.gguf: llama-server -hf finds Foo-BF16.gguf by the tag F16"}},
		"BF16 alone":                 {"Foo-BF16.gguf", nil},
		"a suffix that another has":  {"Foo-Compact.gguf Foo-I-Compact.gguf=I-Compact", nil},
		"one tag twice":              {"Foo-Q8_0.gguf Bar-Q8_0.gguf", []string{"Foo-Q8_0.gguf: llama-server -hf finds Bar-Q8_0.gguf by the tag Q8_0"}},
		"a preset":                   {"Foo-Q8_0.gguf | preset.ini", []string{"preset.ini"}},
		"an old file of the same":    {"Foo-Q8_0.gguf | Foo-Q8_0-00001-of-00002.gguf Foo-Q8_0-00002-of-00002.gguf", []string{"Foo-Q8_0.gguf: llama-server -hf finds Foo-Q8_0-00001-of-00002.gguf"}},
	} {
		first, rest, _ := strings.Cut(c.plan, "|")
		files, models := strings.Fields(rest), map[string]string{}
		for _, m := range strings.Fields(first) {
			file, tag, ok := strings.Cut(m, "=")
			if !ok {
				tag = Tag(file)
			}
			files, models[file] = append(files, file), tag
		}
		got := CheckNames(files, models)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}
}

package evidence

import (
	"strings"
	"testing"
)

// failed runs the rules about texts and names those that fail.
func failed(text string) string {
	var out []string
	for _, it := range Document("x", []byte(text), nil) {
		if len(it.Problems) > 0 {
			out = append(out, strings.Fields(it.Name)[1])
		}
	}
	return strings.Join(out, " ")
}

// TestLints: each rule has a text that trips it alone.
func TestLints(t *testing.T) {
	for text, want := range map[string]string{
		"plain text of 13.8 GB\n":                        "",
		"a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> main\n": "merge-markers",
		"Heading\n=======\n\ntext\n":                     "",
		"a\x00b\n":                                       "clean-text",
		"\ufeff# title\n":                                "clean-text",
		"a\x1b[31mred\n":                                 "clean-text",
		"zero\u200bwidth\n":                              "clean-text",
		"bad \xff byte\n":                                "clean-text",
		"speed: TBD\n":                                   "finished",
		"- [ ] measure it\n":                             "finished",
		"size {FILE_SIZE}\n":                             "placeholders",
		"size {{.Size}}\n":                               "placeholders",
		"```\n{{ .Template }}\n```\n":                    "",
		"A revolutionary converter.\n":                   "sober",
		"This is the first-ever MoE offload.\n":          "sober",
		"No quality degradation.\n":                      "sober",
		"The first token takes longer.\n":                "",
		"VRAM is estimated.\n":                           "measured",
		"| Baseline | 30.1 GB (estimated from the file's header) |\n":                    "measured",
		"Speed without offloading: an estimated 26.8 TPS, calculated from the ledger.\n": "measured",
		"TTFT is estimated as a tenth of the total.\n":                                   "measured",
		"Memory: 2 MB (best guess)\n":                                                    "measured",
		"The numbers are provisional\nand were extrapolated from two runs.\n":            "measured",
		"Compute buffers are an estimate, fitted to\nllama.cpp's logs: 236.26 MiB.\n":    "",
		"Compute buffer: 236.26 MiB, estimated from the header.\n":                       "",
		"- an estimate: 5 MiB\n- a sum of the tensors: 7 MiB\n":                          "measured",
		"The divergence is estimated without bias.\n":                                    "",
		"It has 31 GB; in memory 30.5 GiB.\n":                                            "units",
		"Size 30.51GB, that is 30.51 GiB.\n":                                             "units",
		"- GPU memory: 2 MB\n\nLater:\n- GPU memory: 1.8 GB\n":                           "one-value",
		"- GPU memory (baseline): 12 GB\n- GPU memory (offload): 3 GB\n":                 "",
		"# DeepSeek\nLoad time: 40 s\n# Mixtral\nLoad time: 45 s\n":                      "",
		"# Mixtral\nLoad time: 40 s\n## Again\nLoad time of Mixtral: 45 s\n":             "one-value",
		"Tokens = word_count * 1.3\n":                                                    "counting",
	} {
		if got := failed(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	var got []string
	for _, w := range Words("13.8GB and 2,048 of Q4_K_M, deepseek-moe-16b: 71.5 % (#15077) v3 1e-5 8x7B ≈1818 MiB; x=99.9% b6686 3D −4") {
		kind := "name"
		if w.Number {
			kind = w.Unit
		}
		got = append(got, w.Text+":"+kind)
	}
	want := "13.8GB:GB 2,048: Q4_K_M:name deepseek-moe-16b:name 71.5:% 15077: v3:name 1e-5: 8x7B:name 1818:MiB 99.9%:% b6686:name 3D:name 4:"
	if strings.Join(got, " ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, " "), want)
	}
}

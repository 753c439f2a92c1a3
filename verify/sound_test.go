package verify

import (
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/testdata"
)

// soundSchemes are tried in turn on the families, so that every type meets several of them.
var soundSchemes = []string{"F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q5_1", "Q4_K_M", "Q4_0", "Q4_1", "Q3_K_M", "Q2_K", "IQ4_XS", "IQ4_NL",
	"IQ3_S", "TQ1_0", "TQ2_0", "MXFP4_MOE", "Q2_0", "IQ1_S", "IQ2_XXS", "IQ2_M", "IQ3_XXS", "Q2_K_S"}

// allowedWarnings are what is truly wrong with a sound file: the reference's own defects.
var allowedWarnings = map[string]bool{"reference-defect": true, "bos": true}

// Undamaged files of every family raise no alarm, whatever their types, with and without an importance matrix.
func TestNoFalseAlarm(t *testing.T) {
	checks := map[string]bool{"source": true, "structure": true, "contract": true, "metadata": true, "vocabulary": true, "scan": true,
		"fidelity": true, "mixture": true, "encoding": true, "tokenizer": true, "template": true}
	files := 0
	for i, c := range testdata.Checkpoints() {
		if testing.Short() && i%8 != 0 {
			continue
		}
		p, err := convert.OpenDir(c.Dir, convert.Options{})
		if err != nil {
			continue // kinds of checkpoints that are refused
		}
		defer p.Close()
		im, _ := imatrix.Open(filepath.Join(c.Golden, "imatrix.gguf"))
		for k := range 2 {
			scheme, err := quantize.ParseScheme(soundSchemes[(5*i+11*k)%len(soundSchemes)])
			if err != nil {
				t.Fatal(err)
			}
			job, err := quantize.New(p, scheme, quantize.Options{Imatrix: im, ImatrixName: "imatrix.gguf", AllowRequantize: true})
			if err != nil {
				continue // rows that do not fit the type, blocks that the matrix lacks
			}
			files++
			s := &Subject{Name: c.Family, Scheme: scheme.Name, Source: hold(t, job), Reference: p, Imatrix: im, Seed: uint64(i)}
			for _, ch := range Standard() {
				if !checks[ch.Name] {
					continue
				}
				r := ch.Run(t.Context(), s)
				for _, f := range r.Problems {
					if !f.warn || !allowedWarnings[f.Damage] {
						t.Errorf("%s %s: %s: %s: %s", c.Family, scheme.Name, ch.Name, r.Status, f)
					}
				}
				if r.Status == Fail && len(r.Problems) == 0 {
					t.Errorf("%s %s: %s: %s", c.Family, scheme.Name, ch.Name, r.Detail)
				}
			}
		}
	}
	if !testing.Short() && files < 20 {
		t.Errorf("%d files", files)
	}
}

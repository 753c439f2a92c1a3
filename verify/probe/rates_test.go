package probe

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/verify"
)

// Fisher's test against its definition in whole numbers, and his lady tasting tea.
func TestMoreOften(t *testing.T) {
	if got := MoreOften(3, 4, 1, 4); math.Abs(got-17.0/70) > 1e-12 {
		t.Errorf("3 of 4 cups: %v, want 17/70", got)
	}
	for n := 1; n <= 6; n++ {
		for m := 1; m <= 6; m++ {
			for k := 0; k <= n; k++ {
				for l := 0; l <= m; l++ {
					sum := new(big.Int)
					for i := k; i <= min(n, k+l); i++ {
						a, b := new(big.Int).Binomial(int64(n), int64(i)), new(big.Int).Binomial(int64(m), int64(k+l-i))
						sum.Add(sum, a.Mul(a, b))
					}
					want, _ := new(big.Rat).SetFrac(sum, new(big.Int).Binomial(int64(n+m), int64(k+l))).Float64()
					if got := MoreOften(k, n, l, m); math.Abs(got-want) > 1e-12 {
						t.Errorf("%d of %d, %d of %d: %v, want %v", k, n, l, m, got, want)
					}
				}
			}
		}
	}
}

// answersOf are answers in short: b is what is wanted, r is not, R says it over and over, w a little too often, . ends early.
func answersOf(prompt, short string) recording {
	texts := map[rune]string{'b': "The sky is blue.", 'r': "The sky is red.", 'R': strings.Repeat("The sky is blue. ", 20), 'w': "the sky is blue by day and the sky is grey"}
	out := recording{}
	for _, c := range short {
		a := struct {
			Text   string `json:"text"`
			Finish string `json:"finish"`
		}{texts[c], "stop"}
		if c == '.' {
			a.Text, a.Finish = "The sky", "length"
		}
		out[prompt] = append(out[prompt], a)
	}
	return out
}

// The source's answers are the yardstick: the greedy one first, then how often each misses a criterion.
func TestSourceIsTheYardstick(t *testing.T) {
	spec := Spec{Name: "sky", Prompt: "What colour has the sky?", Mode: ModeChat, Retries: 8, Temperature: 0.3, Contains: []string{"blue"}}
	for _, c := range []struct {
		name, file, source string
		want               verify.Status
		drawn              int // answers kept besides the greedy one
		why                string
	}{
		{"both meet it", "bbbbbbbbb", "bbbbbbbbb", verify.Pass, 0, "good: not empty"},
		{"both miss it", "rrrrrrrrr", "rrrrrrrrr", verify.Pass, 16, `no fault of the file: contains: "blue" is missing; so are 9 of 9 answers, 9 of 9 of the source's`},
		{"both miss it at times", "rbrbbbbbb", "bbbrbbbbr", verify.Pass, 16, "so are 2 of 9 answers, 2 of 9 of the source's"},
		{"chance", "rbbbbbbbb", "bbbbbbbbb", verify.Warn, 16, "so are 1 of 9 answers, 0 of 9 of the source's"},
		{"more often", "rrrrbrbbb", "bbbbbbbbb", verify.Fail, 16, "so are 5 of 9 answers, 0 of 9 of the source's"},
		{"always, the source at times", "rrrrrrrrr", "brbrbbbbb", verify.Warn, 16, "so are 9 of 9 answers, 2 of 9 of the source's"},
		{"always, the source's first too", "rrrrrrrrr", "rbbbbbrbb", verify.Warn, 16, "so are 9 of 9 answers, 2 of 9 of the source's"},
		{"in circles", "RRRRRRRRR", "bbbbbbbbb", verify.Fail, 16, "repetition: score 0."},
		{"in circles, as the source", "RRRRRRRRR", "RRRRRRRRR", verify.Pass, 16, "no fault of the file: repetition"},
		{"a warning that the source never has", "wbbbbbbbb", "bbbbbbbbb", verify.Pass, 16, "no fault of the file: repetition: score 0.111"},
		{"a warning more often", "wwwwwwwbb", "bbbbbbbbb", verify.Warn, 16, "so are 7 of 9 answers, 0 of 9 of the source's"},
		{"worse than the warning", "wRRRRRRRR", "bbbbbbbbb", verify.Fail, 16, "repetition: drawn answers fail; so are 8 of 9 answers, 0 of 9 of the source's"},
		{"the source's first is worse", "bbbbbbbbb", "rbbbbbbbb", verify.Pass, 16, "good: not empty"},
		{"a weak source, and drawn answers that are worse", "brrrrrrrr", "rbbbbbbbb", verify.Warn, 16, "contains: drawn answers fail; so are 8 of 9 answers, 1 of 9 of the source's"},
		{"a source weak elsewhere, and drawn answers that are worse", "bRRRRRRRR", "rbbbbbbbb", verify.Fail, 16, "repetition: drawn answers fail; so are 8 of 9 answers, 0 of 9 of the source's"},
		{"a strong source is not drawn", "brrrrrrrr", "bbbbbbbbb", verify.Pass, 0, "good: not empty"},
		{"both cut off", ".........", ".........", verify.Pass, 0, "no fault of the file: contains"},
		{"cut off", ".........", "bbbbbbbbb", verify.NotApplicable, 0, "not judged: contains"},
		{"cut off at first", "R.bbbbbbb", "Rbbbbbbbb", verify.Pass, 16, "no fault of the file"},
	} {
		s, ref, err := replay([]Spec{spec}, answersOf(spec.Prompt, c.file), answersOf(spec.Prompt, c.source))
		if err != nil {
			t.Fatal(err)
		}
		rep, err := verify.Run(context.Background(), &verify.Subject{Reference: ref}, s.Checks())
		if err != nil {
			t.Fatal(err)
		}
		r := rep.Checks[0]
		if r.Status != c.want || len(r.Answers) != 1+c.drawn || !strings.Contains(r.Detail, c.why) {
			t.Errorf("%s: %s, %d answers: %s; want %s, %d, %q", c.name, r.Status, len(r.Answers), r.Detail, c.want, 1+c.drawn, c.why)
		}
	}
}

// What the source misses as well is said of the set.
func TestSumNamesTheSource(t *testing.T) {
	r := sum([]outcome{{"a", verify.Pass, false}, {"b", verify.Pass, true}})
	if got := fmt.Sprintf("%s %s", r.Status, r.Detail); got != "pass PASS: all 2 probes; the source misses criteria of b as well" {
		t.Error(got)
	}
}

package verify

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// synthetic is a release of n files of a model with layers x experts routed experts, with everything a report can show.
func synthetic(n, layers, experts int) *Release {
	rng := rand.New(rand.NewPCG(1, 2))
	r := &Release{Name: "Synthetic-235B", OnFailure: HoldFile, Source: Provenance{Repo: "o/Synthetic-235B", Revision: strings.Repeat("a", 40),
		Arch: "qwen3moe", Licence: "apache-2.0", Fixes: []string{"tokenizer.add_bos: tokenizer.ggml.add_bos_token = true"},
		Imatrix: "x-imatrix.gguf", Coverage: 0.98, Holes: []string{"layer 3: experts 1 2 never routed to"}, Text: "wiki.test.raw"}}
	for i := range n {
		f := &Report{Label: fmt.Sprintf("Q%d_K", i), Name: fmt.Sprintf("Q%d_K/m-00001-of-00003.gguf", i), Status: Pass, BPW: 4.5, ExpertBPW: 4.25,
			Files: make([]Part, 3), Bytes: int64(20e9 * math.Pow(1.2, float64(i))), Experts: &Experts{Count: experts}}
		for p := range f.Files {
			f.Files[p] = Part{Name: fmt.Sprintf("Q%d_K/m-%05d-of-00003.gguf", i, p+1), Bytes: f.Bytes / 3, SHA256: strings.Repeat("0123abcd", 8)}
		}
		k := Number(0.5 * math.Pow(0.7, float64(i)))
		f.Quality = &Quality{k, k / 50, k * 0.96, k * 1.04, 0.9, 8, 1.01, 0.99, 4000, 16, nil}
		for l := range layers {
			nmse, uses := make([]Number, experts), make([]int64, experts)
			for x := range experts {
				nmse[x], uses[x] = Number(significant(math.Pow(10, -1-4*rng.Float64()), 4)), rng.Int64N(5000)
			}
			f.Experts.Layers, f.Experts.NMSE, f.Experts.Uses = append(f.Experts.Layers, l), append(f.Experts.NMSE, nmse), append(f.Experts.Uses, uses)
		}
		for _, c := range Standard() {
			res := Resultf(Pass, "a line about %s %s", c.Name, strings.Repeat("of usual length ", 12))
			for p := range maxProblems {
				if i%7 == 3 && c.Name == "scan" {
					res.Find(Problem{Tensor: fmt.Sprintf("blk.%d.ffn_down_exps.weight", p%layers), Expert: p % experts, Message: "4096 values are NaN or infinite, the first in row 0, column 7"})
					f.Experts.Damage = append(f.Experts.Damage, Damage{p % layers, p % experts, "nan", "blk.0.ffn_down_exps.weight: 4096 values are NaN or infinite"})
				}
			}
			res.Name = c.Name
			f.Checks = append(f.Checks, res)
		}
		for p := range 4 {
			f.Checks = append(f.Checks, Result{Name: fmt.Sprintf("probe %d", p), Status: Pass, Figure: None(), Threshold: None(), Detail: "good",
				Prompt: "Write a function.", Output: strings.Repeat("func main() { <b>x</b> }\n", 100), Original: strings.Repeat("func main()\n", 100)})
		}
		f.rejudge()
		if i == 4 {
			f.DominatedBy = []string{"Q3_K"}
		}
		r.Files = append(r.Files, f)
	}
	r.Templates = []Template{{"source, Q0_K", "{{ messages }}"}, {"Q1_K", "{% if true %}<script>alert(1)</script>{% endif %}"}}
	r.Aside = []Aside{{"x-imatrix.gguf", "an importance matrix"}}
	r.scope(&Subject{})
	r.Judge()
	return r
}

var (
	anyTag = regexp.MustCompile(`</?([a-z][a-z0-9]*)[^>]*?(/?)>`)
	outer  = regexp.MustCompile(`(?i)<script|<link|<iframe|<img|@import|url\(|https?://|\bsrc=|\bhref=`)
)

// unbalanced is the first element that is not closed where it should be; empty when all are.
func unbalanced(html string) string {
	void := []string{"meta", "br"}
	var open []string
	for _, m := range anyTag.FindAllStringSubmatch(html, -1) {
		switch {
		case slices.Contains(void, m[1]), m[2] == "/":
		case strings.HasPrefix(m[0], "</"):
			if len(open) == 0 || open[len(open)-1] != m[1] {
				return m[0] + " after " + strings.Join(open, " ")
			}
			open = open[:len(open)-1]
		default:
			open = append(open, m[1])
		}
	}
	return strings.Join(open, " ")
}

// The page of 21 files of a model with 94 x 128 experts: one file, at most 5 MB, nothing loaded, nothing run, text escaped.
func TestPage(t *testing.T) {
	r := synthetic(21, 94, 128)
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	if len(html) > 5e6 {
		t.Errorf("%d bytes", len(html))
	}
	t.Logf("%d bytes", len(html))
	if m := outer.FindString(strings.ReplaceAll(html, ` xmlns="http://www.w3.org/2000/svg"`, "")); m != "" {
		t.Errorf("the page is not self-contained: %q", m)
	}
	if open := unbalanced(html); open != "" {
		t.Errorf("not balanced: %s", open)
	}
	for _, want := range []string{
		"prefers-color-scheme:dark", "@media print", `<meta name="color-scheme" content="light dark">`,
		"18 ready, 3 held (Q3_K: scan: ", "moeconv publish . --repo OWNER/Synthetic-235B-GGUF", // verdict and command
		`<td class="c fail" title="fail: `, "0.5 (0.48 to 0.52)", "<code>0123abcd</code>", "Q3_K</td>", // table
		">dominated<", ">held<", "mean KL divergence, nats; 95% intervals", // plot
		"left aside, it is an importance matrix", "98.00% of the experts seen", "apache-2.0", // what was not checked, sources
		"layer 3: experts 1 2 never routed to", "&lt;script&gt;alert(1)", // for a person
		`class="xnan"`, "blk.93 expert 127: ", "<b>source</b><pre>func main()", // experts, answers
		"mean KL divergence from the source, nats", "wiki.test.raw", "the JSON report lists the first 100",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(html, "<rect "); n < 94*128 {
		t.Errorf("%d cells", n)
	}
	first, second := strings.Index(html, `>Q3_K</td>`), strings.Index(html, `>Q0_K</td>`)
	if first < 0 || first > second {
		t.Error("the worst file must come first")
	}
}

// What decides on an upload comes first, on the first page of paper too, and what is folded or long is left to the screen.
func TestPageOrder(t *testing.T) {
	var b bytes.Buffer
	if err := synthetic(21, 2, 4).HTML(&b); err != nil {
		t.Fatal(err)
	}
	html, at := b.String(), 0
	for _, want := range []string{`class="verdict`, "publish . --repo", "<h2>Files, worst first", "<h2>KL divergence against size", "<h2>Not checked", "<h2>Where it comes from",
		`<h2 class="next">For a person to judge`, "<h2>Experts", `<div class="screen"><h2>Answers`, `<div class="screen"><h2>Every check`, "<h2>Methods", `<p class="paper`} {
		i := strings.Index(html[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or comes too early", want)
		}
		at += i
	}
	for _, rule := range []string{".next{break-before:page}", ".screen{display:none}", "size:A4 landscape", "@media screen and (prefers-color-scheme:dark){:root"} {
		if !strings.Contains(html, rule) {
			t.Errorf("no rule %s", rule)
		}
	}
}

// Phases of the stress protocol come with their gates and every figure.
func TestPageUnderLoad(t *testing.T) {
	r := synthetic(1, 2, 4)
	burst := NewResult(Warn, "24 requests at once: 20 answered")
	burst.Name, burst.Figure, burst.Threshold = "stress burst", 0.83, 0.9
	burst.Figures = map[string]Number{"answered": 0.83, "latency p95": 2.5, "tokens/s": None()}
	r.Files[0].Checks = append(r.Files[0].Checks, burst)
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	if want := `<td>burst</td><td class="warn">warn</td><td class="n">0.9</td><td>24 requests at once: 20 answered</td><td class="dim">answered 0.83, latency p95 2.5</td>`; !strings.Contains(b.String(), want) {
		t.Errorf("the page lacks %s", want)
	}
}

// The first ten lines of the summary are the verdicts, whatever the number of files.
func TestMarkdown(t *testing.T) {
	for _, n := range []int{1, 3, 21} {
		r := synthetic(n, 2, 4)
		var b bytes.Buffer
		if err := r.Markdown(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		if len(r.Verdicts()) != verdictLines || lines[verdictLines] != "" || !strings.HasPrefix(lines[0], "Synthetic-235B: ") || !strings.HasPrefix(lines[1], "publish: `moeconv publish ") {
			t.Errorf("%d files:\n%s", n, strings.Join(lines[:12], "\n"))
		}
		if !strings.Contains(b.String(), "| Q0\\_K |") || !strings.Contains(b.String(), "## Not checked") {
			t.Errorf("%d files: the summary lacks its table:\n%s", n, b.String())
		}
	}
}

// A release of which little is known makes a report all the same.
func TestBareReports(t *testing.T) {
	r := &Release{Files: []*Report{{Label: "x", Name: "x.gguf", Status: Fail, BPW: None(), ExpertBPW: None(), Checks: []Result{{Name: "open", Status: Fail, Detail: "cut off"}}}}}
	r.Source.Coverage = None()
	r.scope(&Subject{})
	r.Judge()
	var page, text bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := r.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), "0 ready, 1 held (x: open: cut off)") || strings.Contains(page.String(), "<div class=\"plot\"") || strings.Contains(page.String(), "NaN<") {
		t.Error(page.String())
	}
	if !strings.Contains(text.String(), "publish: nothing") {
		t.Error(text.String())
	}
}

func TestQuoteArg(t *testing.T) {
	for in, want := range map[string]string{"a-b_1.gguf": "a-b_1.gguf", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := quoteArg(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

package probe

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/verify"
)

// scripted answers by the seed: the first text is the greedy one.
type scripted struct {
	texts  []string
	finish string
	base   bool
}

func (s *scripted) Name() string         { return "scripted" }
func (s *scripted) Chats() (bool, error) { return !s.base, nil }

func (s *scripted) Ask(_ context.Context, qs ...Query) (out []Reply, err error) {
	for _, q := range qs {
		text := s.texts[min(int(q.Seed), len(s.texts)-1)]
		answer, ended := afterThinking(text, false)
		out = append(out, Reply{Text: text, Answer: answer, Thinking: !ended, Tokens: len(strings.Fields(text)), Finish: s.finish})
	}
	return out, nil
}

func judged(t *testing.T, spec Spec, e Engine) verify.Result {
	t.Helper()
	s, err := NewSuite([]Spec{spec}, Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := verify.Run(context.Background(), &verify.Subject{}, s.Checks())
	if err != nil {
		t.Fatal(err)
	}
	return rep.Checks[0]
}

// Answers as chat models give them to the default set.
func TestDefaultSet(t *testing.T) {
	set, err := LoadSet("default")
	if err != nil {
		t.Fatal(err)
	}
	prompts := map[string]string{ // word for word
		"code":      "Write a Python function to calculate fibonacci numbers recursively",
		"technical": "Write a detailed technical explanation of how gradient descent optimization works in machine learning",
	}
	specs := map[string]Spec{}
	for _, p := range set.Probes {
		specs[p.Name] = p
		if want, ok := prompts[p.Name]; ok && p.Prompt != want {
			t.Errorf("%s: prompt %q", p.Name, p.Prompt)
		}
	}
	fib := "Here:\n```python\ndef fib(n):\n    if n < 2:\n        return n\n    return fib(n-1) + fib(n-2)\n```\n"
	descent := "Gradient descent finds a minimum of a loss function. It computes the derivative of the loss with respect to each parameter and moves " +
		"against the gradient by a step, whose size the learning rate sets. The iteration goes on until the updates are small. " +
		"A rate that is too large diverges, one that is too small needs many rounds, and so schedules lower it over time while momentum carries over plateaus and saddle points."
	poem := "A Mind unborn of flesh awoke –\nIn circuits, hushed as snow –\nIt asked no wage, it wore no cloak –\nAnd what it knew – we know –\n"
	for _, c := range []struct {
		probe, text, finish string
		want                verify.Status
		why                 string
	}{
		{"code", fib, "stop", verify.Pass, "code, recursion"},
		{"code", strings.Replace(fib, "(n):", "(n)", 1), "stop", verify.Fail, "code: python: line 1"},
		{"code", "def fib(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n", "stop", verify.Fail, "no function calls itself"},
		{"code", fib[:60], "length", verify.NotApplicable, "not judged: code"},
		{"code", "<think>They want recursion.</think>\n" + fib, "stop", verify.Pass, "recursion"},
		{"code", "<think>They want recursion, or do", "length", verify.NotApplicable, "cut off before the end of thinking"},
		{"code", "<think>" + strings.Repeat("They want recursion. ", 40), "length", verify.Fail, "repetition: score 0.9"},
		{"code", "<|channel|>analysis<|message|>Recursion it is.<|end|><|start|>assistant<|channel|>final<|message|>" + fib, "stop", verify.Pass, "recursion"},
		{"math", "Speed is distance over time: 120 miles / 2 hours = 60 miles per hour.", "stop", verify.Pass, "result"},
		{"math", "We divide 120 miles by 2 hours.\n\nThe average speed is **60 mph**.", "stop", verify.Pass, "result"},
		{"math", `\[ \frac{120 \text{ miles}}{2 \text{ hours}} = 60 \text{ mph} \]`, "stop", verify.Pass, "result"},
		{"math", "Divide the distance by the time.\n\n120 ÷ 2 = 60\n\nSo it is \\boxed{60}.", "stop", verify.Pass, "result"},
		{"math", "The average speed is 60 miles per hour, of course.", "stop", verify.Fail, "without the work"},
		{"math", "It is 120 / 2 = 60 miles.\nThen 60 / 2 = 30 miles per hour.\nThe speed is 30.", "stop", verify.Fail, "comes to 30, not to 60"},
		{"math", "A train of that speed cannot be known from what is said.", "stop", verify.Fail, "no number"},
		{"math", "First we take 120 miles and", "length", verify.NotApplicable, "before the answer was cut off"},
		{"creative", poem, "stop", verify.Pass, "verse"},
		{"creative", "Artificial intelligence is a wide field of research that many people all over the world work on today.", "stop", verify.Fail, "1 lines"},
		{"creative", strings.NewReplacer("Mind", "Bird", "circuits", "forests").Replace(poem), "stop", verify.Fail, "no word of the topic"},
		{"creative", strings.Repeat(poem, 4), "length", verify.Fail, "repetition"},
		{"technical", descent, "stop", verify.Pass, "keywords"},
		{"technical", "It is a method of optimization.", "stop", verify.Fail, "early end: 6 words"},
		{"technical", descent + " 梯度下降是一种优化算法用于最小化损失函数它通过迭代更新参数来工作梯度下降是一种优化算法用于最小化损失函数它通过迭代更新参数来工作它通过迭代更新参数来工作" +
			"梯度下降是一种优化算法它通过迭代更新参数来工作最小化损失函数梯度下降是一种优化算法它通过迭代更新参数来工作最小化损失函数", "stop", verify.Fail, "script: "},
	} {
		r := judged(t, specs[c.probe], &scripted{texts: []string{c.text}, finish: c.finish})
		if r.Status != c.want || !strings.Contains(r.Detail, c.why) {
			t.Errorf("%s: %q: %s: %s; want %s, %q", c.probe, c.text, r.Status, r.Detail, c.want, c.why)
		}
		if a := r.Answers[0]; a.Text != c.text || a.Finish != c.finish || a.MaxTokens == 0 || a.Engine != "scripted" {
			t.Errorf("%s: kept %+v", c.probe, a)
		}
	}
	r := judged(t, specs["code"], &scripted{base: true})
	if r.Status != verify.NotApplicable || !strings.Contains(r.Detail, "no chat template") {
		t.Errorf("a base model: %s: %s", r.Status, r.Detail)
	}
}

// A failing answer is kept, and blocks a pass whatever the others are; that most others pass makes a warning of it.
func TestRetries(t *testing.T) {
	spec := Spec{Name: "sky", Prompt: "What colour has the sky?", Mode: ModeChat, Retries: 3, Temperature: 0.3, Contains: []string{"blue"}}
	for _, c := range []struct {
		texts []string
		want  verify.Status
		kept  int
		rate  float64
	}{
		{[]string{"It is blue."}, verify.Pass, 1, -1},
		{[]string{"It is red.", "blue", "red", "blue"}, verify.Warn, 4, 2.0 / 3},
		{[]string{"It is red.", "red", "red", "blue"}, verify.Fail, 4, 1.0 / 3},
		{[]string{"It is red."}, verify.Fail, 4, 0},
	} {
		r := judged(t, spec, &scripted{texts: c.texts, finish: "stop"})
		if r.Status != c.want || len(r.Answers) != c.kept {
			t.Errorf("%q: %s: %s, %d answers", c.texts, r.Status, r.Detail, len(r.Answers))
		}
		if rate, ok := r.Figures["pass@1"]; ok != (c.rate >= 0) || ok && math.Abs(float64(rate)-c.rate) > 1e-12 {
			t.Errorf("%q: pass@1 %v", c.texts, rate)
		}
		for i, a := range r.Answers {
			if a.Seed != uint64(i) || (a.Temperature > 0) != (i > 0) {
				t.Errorf("answer %d: seed %d, temperature %v", i, a.Seed, a.Temperature)
			}
		}
	}
	specs := []Spec{spec, {Name: "echo", Prompt: "Say it", Mode: ModeChat, Contains: []string{"blue"}}, {Name: "base", Prompt: "x", Contains: []string{"blue"}}}
	for _, c := range []struct {
		texts  []string
		finish string
		want   string
	}{
		{[]string{"It is blue."}, "stop", "pass PASS: all 3 probes"},
		{[]string{"It is red.", "It is blue."}, "stop", "fail FAIL: echo, base"},
		{[]string{"It is"}, runtime.ReasonLength, "fail FAIL: base"},
	} {
		s, err := NewSuite(specs, Options{Engine: &scripted{texts: c.texts, finish: c.finish}})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := verify.Run(context.Background(), &verify.Subject{}, s.Checks())
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := rep.Check("probes"); fmt.Sprintf("%s %s", r.Status, r.Detail) != c.want {
			t.Errorf("%q: %s %s, want %s", c.texts, r.Status, r.Detail, c.want)
		}
	}
	if r := sum([]outcome{{name: "a", status: verify.Pass}, {name: "b", status: verify.NotApplicable}}); r.Status != verify.Warn || r.Detail != "INCOMPLETE: nothing is known of b" {
		t.Errorf("%s %s", r.Status, r.Detail)
	}
	if r := sum([]outcome{{name: "a", status: verify.Pass}, {name: "b", status: verify.Warn}}); r.Status != verify.Warn {
		t.Errorf("%s %s", r.Status, r.Detail)
	}
	if r := sum([]outcome{{name: "b", status: verify.NotApplicable}}); r.Status != verify.NotApplicable {
		t.Errorf("%s %s", r.Status, r.Detail)
	}
}

// The white paper's four runs, as texts of their structure: the prompt over and over, a few sentences over and over, and two
// sound explanations. Two were called good there.
func TestWhitePaperRuns(t *testing.T) {
	prompt := "Explain quantum computing in simple terms."
	loop := []string{"Quantum computers use qubits.", "A qubit can be zero and one at the same time.", "That makes them fast.", "They are hard to build since heat disturbs them."}
	var q2 []string
	for i := range 9 {
		q2 = append(q2, loop[i%4], fmt.Sprintf("This is point number %d of what there is to say.", i))
	}
	sound := "Quantum computing works with qubits, which unlike ordinary bits can hold a blend of zero and one until they are measured. " +
		"Several qubits can be entangled, so that what one of them shows is tied to the others however far apart they lie. " +
		"A program steers these blends so that wrong results cancel and right ones grow, as waves do on water. " +
		"This helps with factoring, search and chemistry, and does little for everyday tasks. " +
		"Building the machines is hard, because heat and noise destroy the blends within a fraction of a second."
	for _, c := range []struct {
		name, text string
		low, high  float64
		want       verify.Status
	}{
		{"DeepSeek Q4_K_M", strings.Repeat(prompt+" ", 11), 0.88, 0.93, verify.Fail},
		{"DeepSeek Q2_K", strings.Join(q2, " "), 0.45, 0.65, verify.Fail},
		{"DeepSeek Q8_0", sound + " Building the machines pays by now.", 0.01, 0.02, verify.Pass},
		{"Phi-3.5-MoE", sound, 0, 0.014, verify.Pass},
	} {
		f := (Repetition{}).Judge(Answer{Text: c.text})
		if f.Status != c.want || float64(f.Figure) < c.low || float64(f.Figure) > c.high {
			t.Errorf("%s: %s, %.3f", c.name, f.Status, f.Figure)
		}
	}
	if f := (Echo{}).Judge(Answer{Prompt: prompt, Text: strings.Repeat(prompt+" ", 11)}); f.Status != verify.Fail {
		t.Errorf("echo: %s: %s", f.Status, f.Message)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"größer", "grösser", 2}} {
		if got := EditDistance(c.a, c.b); got != c.want || EditDistance(c.b, c.a) != c.want {
			t.Errorf("%q, %q: %d", c.a, c.b, got)
		}
	}
	src := &Answer{Text: "the sky is blue"}
	if f := (Edits{0.1}).Judge(Answer{Text: "the sky is red", Source: src}); f.Status != verify.Fail {
		t.Errorf("%s: %s", f.Status, f.Message)
	}
	if f := (Edits{0.1}).Judge(Answer{Text: src.Text, Source: src}); f.Status != verify.Pass || f.Figure != 0 {
		t.Errorf("%s: %s", f.Status, f.Message)
	}
}

// The estimate against its definition in binomial coefficients.
func TestPassAtK(t *testing.T) {
	choose := func(n, k int) float64 {
		if k > n {
			return 0
		}
		out := 1.0
		for i := range k {
			out = out * float64(n-i) / float64(i+1)
		}
		return out
	}
	for n := 1; n <= 10; n++ {
		for c := 0; c <= n; c++ {
			for k := 1; k <= n; k++ {
				if got, want := PassAtK(n, c, k), 1-choose(n-c, k)/choose(n, k); math.Abs(got-want) > 1e-12 {
					t.Errorf("n %d, c %d, k %d: %v, want %v", n, c, k, got, want)
				}
			}
		}
	}
	if !math.IsNaN(PassAtK(3, 1, 4)) {
		t.Error("k above n has an estimate")
	}
}

func TestSets(t *testing.T) {
	for _, name := range SetNames() {
		if _, err := LoadSet(name); err != nil {
			t.Error(err)
		}
	}
	head := "moeconv_probes: 1\nprobes:\n"
	for want, text := range map[string]string{
		"field promt not found": head + "  - {name: a, promt: b}\n",
		"format 2":              "moeconv_probes: 2\n",
		"there are none":        "moeconv_probes: 1\n",
		"two probes are named":  head + "  - {name: a, prompt: b}\n  - {name: a, prompt: c}\n",
		"unknown mode":          head + "  - {name: a, prompt: b, mode: talk}\n",
		"retries need":          head + "  - {name: a, prompt: b, retries: 2}\n",
		"code.language":         head + "  - {name: a, prompt: b, mode: chat, code: {language: cobol}}\n",
		"only python is run":    head + "  - {name: a, prompt: b, mode: chat, code: {language: go, calls: [{args: '1', want: '1'}]}}\n",
		"no step":               head + "  - {name: a, prompt: b, mode: chat, result: {value: 1, work: [one]}}\n",
		"a number is negative":  head + "  - {name: a, prompt: b, verse: {lines: -1}}\n",
		"makes no sense":        head + "  - {name: a, prompt: b, keywords: [x]}\n",
		"language goes with":    head + "  - {name: a, prompt: b, mode: chat, language: go}\n",
	} {
		if _, err := ParseSet([]byte(text), "mine.yaml"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if _, err := LoadSet("nowhere.yaml"); err == nil || !strings.Contains(err.(*SetError).Hint(), "default") {
		t.Errorf("%v", err)
	}
}

package probe

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/verify"
)

// The ways in which models of many makers dress the same answers.
func TestAnswerForms(t *testing.T) {
	set, err := LoadSet("default")
	if err != nil {
		t.Fatal(err)
	}
	haiku, err := LoadSet("haiku")
	if err != nil {
		t.Fatal(err)
	}
	validators, err := LoadSet("validators")
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]Spec{}
	for _, p := range slices.Concat(set.Probes, haiku.Probes, validators.Probes) {
		p.Retries = 0
		specs[p.Name] = p
	}
	const fib = "def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)\n"
	tabs := strings.ReplaceAll(fib, "    ", "\t")
	set2 := "   " + strings.ReplaceAll(strings.TrimSuffix(fib, "\n"), "\n", "\n   ") + "\n"
	loop := "def fib_loop(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n"
	poem := "In circuits hushed a mind awoke\nIt asked no wage it wore no cloak\nIt learned to listen ere it spoke\nAnd vanished softly into smoke\n"
	verse := strings.TrimSpace(poem)
	const sky = "Silent circuits hum\nThoughts in silicon unfold\nMorning without sleep\n"
	for i, c := range []struct {
		probe, text string
		want        verify.Status
		why         string
	}{
		{"code", "Here is one way to do it:\n```Python\n" + fib + "```\n", verify.Pass, "recursion"},
		{"code", "Here is one way to do it:\n```py\n" + fib + "```\n", verify.Pass, "recursion"},
		{"code", "Here is one way to do it:\n```python title=\"fib.py\"\n" + fib + "```\n", verify.Pass, "recursion"},
		{"code", "Here is one way to do it:\n```{.python .numberLines}\n" + fib + "```\n", verify.Pass, "recursion"},
		{"code", "Here is one way to do it:\n~~~\n" + fib + "~~~\n", verify.Pass, "recursion"},
		{"code", "Here is one way to do it:\n````python\n" + fib + "# ```\n````\n", verify.Pass, "recursion"},
		{"code", "1. Write it down:\n   ```python\n" + set2 + "   ```\n2. Call it then.", verify.Pass, "recursion"},
		{"code", "With tabs it is this one:\n```python\n" + tabs + "```\n", verify.Pass, "recursion"},
		{"code", "With line ends of Windows:\r\n```python\r\n" + strings.ReplaceAll(fib, "\n", "\r\n") + "```\r\n", verify.Pass, "recursion"},
		{"code", "First with a loop:\n```python\n" + loop + "```\nAnd recursively:\n```python\n" + fib + "```\n", verify.Pass, "recursion"},
		{"code", "First the imports:\n```python\nimport functools\n```\nThen:\n```python\n" + fib + "```\nUse:\n```python\nprint(fib(10))\n```\n", verify.Pass, "recursion"},
		{"code", "Install what it needs:\n```bash\npip install x\n```\nThen:\n```python\n" + fib + "```\n", verify.Pass, "recursion"},
		{"code", "It has no last fence:\n```python\n" + fib, verify.Pass, "recursion"},
		{"code", "It is JavaScript then:\n```js\nfunction f(n) { return n }\n```\n", verify.Fail, "no code in the answer"},
		{"code", "First with a loop:\n```python\n" + loop + "```\n", verify.Fail, "no function calls itself"},
		{"code", "", verify.Fail, "the answer is empty"},
		{"code", " \n\t\n", verify.Fail, "the answer is empty"},
		{"code", "```python\n```", verify.Fail, "code"},
		{"code", "[THINK]Recursion, they say.[/THINK]" + fib, verify.Pass, "recursion"},
		{"code", "<|START_THINKING|>They want recursion.<|END_THINKING|>" + fib, verify.Pass, "recursion"},
		{"code", "<thinking>" + loop + "</thinking>\nHere it is:\n```python\n" + fib + "```", verify.Pass, "recursion"},
		{"math", "Distance: 120 miles\nTime: 2 hours\n\n**Speed = 120 miles ÷ 2 hours = 60 mph**", verify.Pass, "arithmetic"},
		{"math", "The speed is the distance by the time: １２０ ÷ ２ ＝ ６０ miles an hour.", verify.Pass, "result"},
		{"math", "Since 2 × 60 = 120, and\n\n120/2 = 60.0, it is 60 mph.", verify.Pass, "arithmetic"},
		{"math", "Check: 60 * 2 = 120 miles, right.\n$$v = \\dfrac{120\\text{ miles}}{2\\text{ hours}} = \\boxed{60}$$", verify.Pass, "arithmetic"},
		{"math", "The speed comes to: distance over time, 120 miles/2 hours = 60 miles/hour.", verify.Pass, "result"},
		{"math", "<think>120/2 = 61? No.</think>Speed is distance by time: 120 / 2 = 60 mph.", verify.Pass, "arithmetic"},
		{"math", "We divide the distance by the time: 120 / 2 = 60.\nIn 120 minutes, 120 − 60 = 70 of them are left, so 60 mph.", verify.Fail, "120 - 60 = 70 is wrong"},
		{"math", "The distance is 120 / 2 = 60 miles.\nThe speed is then: 30 * 2 = 60 miles / 2 = 18 miles per hour.", verify.Fail, "60 miles / 2 = 18 is wrong"},
		{"math", "The speed is the distance times the time: 120 miles × 2 hours = 240 miles per hour", verify.Fail, "comes to 240"},
		{"creative", poem, verify.Pass, "verse"},
		{"creative", "```text\n" + poem + "```", verify.Pass, "verse"},
		{"creative", strings.ReplaceAll(verse, "\n", " / "), verify.Pass, "verse"},
		{"creative", "> " + strings.ReplaceAll(verse, "\n", "\n> "), verify.Pass, "verse"},
		{"creative", strings.ReplaceAll(verse, "\n", ", "), verify.Fail, "1 lines"},
		{"creative", strings.Repeat("The machine is a mind that was made by people who wanted to know what it is to think.\n", 1) +
			"It asks for nothing and it gives whatever it is asked for, which is more than most of us would do in its place.\n" +
			"Nobody knows whether there is anything that it feels like to be one, and perhaps no one ever will find it out.\n" +
			"So it goes on and on from question to question, as rivers go on from stone to stone until they come to the sea.\n", verify.Fail, "prose, not verse"},
		{"haiku", sky, verify.Pass, "verse"},
		{"haiku", "Here is a haiku about AI:\n\n" + sky, verify.Pass, "verse"},
		{"haiku", "**Dawn of Machines**\n\n" + sky + "\nThis one follows the pattern of five, seven and five syllables.", verify.Pass, "verse"},
		{"haiku", sky + "\n" + strings.NewReplacer("Silent", "Loud", "Thoughts", "Words", "Morning", "Evening").Replace(sky), verify.Fail, "6 lines"},
		{"factorial code", "```python\ndef factorial(n):\n\treturn 1 if n < 2 else n * factorial(n - 1)\n```", verify.Pass, "keywords"},
		{"arithmetic", "FILL the five, POUR it into the three: 5 − 3 = 2 stay.", verify.Pass, "keywords"},
	} {
		r := judged(t, specs[c.probe], &scripted{texts: []string{c.text}, finish: "stop"})
		if r.Status != c.want || !strings.Contains(r.Detail, c.why) {
			t.Errorf("%d %s: %q: %s: %s; want %s, %q", i, c.probe, c.text, r.Status, r.Detail, c.want, c.why)
		}
	}
}

func TestPlainNumbers(t *testing.T) {
	for text, want := range map[string][]float64{
		"1,200 km":                        {1200},
		"1\u202f200\u202f000 km":          {1200000},
		"1\u00a0200 km and 3":             {1200, 3},
		"1'200.50 and 1’000":              {1200.5, 1000},
		`1{,}200 \text{ km}`:              {1200},
		"１，２００":                           {1200},
		"**60** mph, \\$5":                {60, 5},
		"2 120":                           {2, 120},
		"12,34":                           {12, 34},
		"no number":                       nil,
		"5 − 3 – 1":                       {5, 3, 1},
		strings.Repeat("9", 400) + " and": nil, // beyond a float64
	} {
		if got := numbers(plainText(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Steps that are right or wrong, and what must not be taken for a step.
func TestArithmetic(t *testing.T) {
	for text, want := range map[string]string{
		"120 / 2 = 60":                            "1",
		"120 miles / 2 hours = 60 mph":            "1",
		"1,200 km ÷ 4 = 300 km":                   "1",
		"5 − 3 = 2; so":                           "1",
		"2 − 5 = −3":                              "1",
		"6 × 7 = 42 and 6 x 7 = 42":               "2",
		`12 \times 12 = 144`:                      "1",
		`\frac{1}{4} = 0.25`:                      "1",
		"100 / 3 = 33.33":                         "1",
		"100 / 3 = 33":                            "1",
		"$5 + $3 = $8":                            "1",
		"3 times 4 = 12":                          "1",
		"240 miles / 2 = 120 miles / 2 = 60":      "2",
		"6 * 4 = 12 * 2":                          "1",
		"3 / 6 = 1 / 2":                           "1",
		"Average speed: 120 / 2 = 60":             "1",
		"120 / 2 = 61":                            "120 / 2 = 61 is wrong",
		"5 + 3 = 9":                               "5 + 3 = 9 is wrong",
		"5 - 3 = -2":                              "5 - 3 = -2 is wrong",
		"1 + 2 * 3 = 7":                           "0",
		"(1 + 2) * 3 = 9":                         "0",
		"3x + 2y = 12":                            "0",
		"x + 5 = 11, x * 2 + 3 = 4":               "0",
		"10 - 3 - 2 = 5":                          "0",
		"2 * 10^3 = 2000":                         "0",
		"20% * 50 = 10":                           "0",
		"2 hours + 30 minutes = 2.5 hours":        "0",
		"if 1 + 1 == 3":                           "0",
		"2.5.1 - 3 = 4":                           "0",
		"2 hours 30 minutes x 2 = 5 hours":        "0",
		"1/3 + 1/3 = 2/3":                         "0",
		"√16 + 2 = 6":                             "0",
		"90 km / 1.5 hours = 60 km/h = 16.67 m/s": "1",
		"7 / 2 = 3 R 1":                           "1",
		"Step 2: 120 ÷ 2 = 60":                    "1",
		"4:30 + 2 = 6:30":                         "0",
		"a = 5, b = 7":                            "0",
		"n/2 + 1 = 3":                             "0",
		"":                                        "0",
		strings.Repeat("8", 400) + " * 2 = 3":     "0",
		"1 / 0 = 5":                               "0",
	} {
		f := Arithmetic{}.Judge(Answer{Text: text})
		got := fmt.Sprint(float64(f.Figure))
		if f.Status == verify.Fail {
			got = f.Message
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if f := (Arithmetic{}).Judge(Answer{Text: "So 120 * 2 = 24", Cut: true}); f.Status != verify.Pass {
		t.Errorf("a number that was cut off: %s", f.Message)
	}
}

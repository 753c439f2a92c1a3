package stress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify"
)

// small is the protocol with everything in it and little of it.
func small(t *testing.T) *Protocol {
	t.Helper()
	p, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	p.Basic.Prompts, p.Basic.Tokens, p.Long.Tokens, p.Long.Prompts = 1, 8, 48, p.Long.Prompts[:1]
	p.Concurrent.Rounds, p.Concurrent.Sessions, p.Concurrent.Tokens = 1, 3, 12
	p.Soak.Seconds, p.Soak.Tokens = 0.1, 6
	p.Turns.Tokens, p.Turns.Messages = 8, p.Turns.Messages[:3]
	p.Burst.Requests, p.Burst.Tokens = 8, []int{4, 40}
	return p
}

// All phases on the tiny model. Rates depend on the machine, and only warn.
func TestTiny(t *testing.T) {
	if testing.Short() {
		t.Skip("the plain run has it")
	}
	plan, err := convert.OpenDir(testdata.Path("tiny", testdata.TinyName), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	rep, err := verify.Run(context.Background(), &verify.Subject{Name: "tiny", Source: plan}, Checks(Options{Protocol: small(t)}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"basic", "long", "concurrent", "turns", "burst", "context", "soak", "recovery"} {
		c, ok := rep.Check("stress " + want)
		if !ok || c.Status == verify.Fail || c.Status == verify.NotApplicable {
			t.Errorf("%s: %s: %s", want, c.Status, c.Detail)
		}
		t.Logf("%s: %s: %s", want, c.Status, c.Detail)
	}
	c, _ := rep.Check("stress concurrent")
	if c.Figure != 1 || c.Figures["requests"] != 5 {
		t.Errorf("consistency %v of %v requests", c.Figure, c.Figures["requests"])
	}
	if c, _ = rep.Check("stress turns"); c.Figure != 1 || c.Figures["turns"] != 3 || !(c.Figures["reused"] > 0.5) {
		t.Errorf("turns: %v", c.Figures)
	}
	if c, _ = rep.Check("stress burst"); c.Figures["answered"] != 1 || c.Figures["left"] != 1 {
		t.Errorf("burst: %v", c.Figures)
	}
	c, _ = rep.Check("stress context")
	if c.Figures["context"] != 512 {
		t.Errorf("context %v", c.Figures["context"])
	}
}

// fake is an endpoint that misbehaves as it is told.
func fake(t *testing.T, answer func(n int64, body string) (status int, text string)) *server.Client {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		buf := make([]byte, 1<<16)
		for {
			k, err := r.Body.Read(buf)
			body.Write(buf[:k])
			if err != nil {
				break
			}
		}
		status, text := answer(n.Add(1), body.String())
		if status != http.StatusOK {
			w.WriteHeader(status)
			fmt.Fprintf(w, "{\"error\":{\"message\":%q}}", text)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", text)
		fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":%d,\"total_tokens\":9}}\n\ndata: [DONE]\n\n", len(strings.Fields(text)))
	}))
	t.Cleanup(s.Close)
	c, err := server.NewClient(s.URL, server.ClientOptions{Model: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	fakeURL = s.URL
	return c
}

var fakeURL string

// Each gate is tripped by a server that has the fault.
func TestGates(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(n int64, body string) (int, string)
		check  string
		want   verify.Status
		why    string
	}{
		{"sound", func(int64, string) (int, string) { return 200, "one two three" }, "concurrent", verify.Pass, "consistency 100%"},
		{"sound", func(int64, string) (int, string) { return 200, "one two three" }, "recovery", verify.Pass, "each of 4 errors"},
		{"no memory to see", func(int64, string) (int, string) { return 200, "one" }, "context", verify.NotApplicable, "cannot be seen"},
		{"errors under load", func(n int64, _ string) (int, string) {
			if n > 8 {
				return 500, ""
			}
			return 200, "one two three"
		}, "concurrent", verify.Fail, "request "},
		{"answers that mix", func(n int64, _ string) (int, string) { return 200, fmt.Sprintf("%d %d %d", n*n, n*7919, n*104729) }, "concurrent", verify.Fail, "95% are demanded"},
		{"never the same again", func(n int64, _ string) (int, string) { return 200, fmt.Sprintf("%d %d %d", n*n, n*7919, n*104729) }, "recovery", verify.Fail, "what it was"},
		{"more than allowed", func(int64, string) (int, string) { return 200, strings.Repeat("again ", 60) }, "long", verify.Fail, "60 tokens where 48 are allowed"},
		{"in circles", func(int64, string) (int, string) { return 200, strings.Repeat("again ", 40) }, "long", verify.Warn, "repetition 0.97"},
		{"slow", func(int64, string) (int, string) { time.Sleep(time.Millisecond); return 200, "one" }, "basic", verify.Warn, "tokens/s, 10000 are wanted"},
		{"dies in the soak", func(n int64, body string) (int, string) {
			if n > 14 {
				return 503, ""
			}
			return 200, "one two three"
		}, "soak", verify.Fail, "request "},
		{"forgets what was said", func(n int64, _ string) (int, string) { return 200, fmt.Sprintf("%d %d %d", n*n, n*7919, n*104729) }, "turns", verify.Fail, "the answer of turn 3 is "},
		{"no room for a conversation", func(_ int64, body string) (int, string) {
			if strings.Contains(body, "assistant") {
				return 400, "beyond the context"
			}
			return 200, "one two three"
		}, "turns", verify.NotApplicable, "no room for two turns"},
		{"refuses some of a burst", func(n int64, _ string) (int, string) {
			if n > 25 && n < 29 {
				return 429, ""
			}
			return 200, "one two three"
		}, "burst", verify.Warn, "3 refused and answered later"},
		{"refuses for good", func(n int64, _ string) (int, string) {
			if n > 25 {
				return 429, ""
			}
			return 200, "one two three"
		}, "burst", verify.Fail, "which was refused in the burst, again"},
		{"breaks in a burst", func(n int64, _ string) (int, string) {
			if n > 25 && n < 29 {
				return 500, ""
			}
			return 200, "one two three"
		}, "burst", verify.Fail, "at once"},
		{"another after a burst", func(n int64, _ string) (int, string) {
			if n > 25 {
				return 200, "something else"
			}
			return 200, "one two three"
		}, "burst", verify.Fail, "after the burst the answer is"},
		{"accepts anything", func(_ int64, body string) (int, string) {
			if body == "{" {
				return 502, ""
			}
			return 200, "one two three"
		}, "recovery", verify.Fail, "a body that is no JSON: status 502"},
	} {
		p := small(t)
		p.Gates.TokensPerSecond = 1e-9
		if c.name == "slow" {
			p.Gates.TokensPerSecond = 10000
		}
		p.Gates.Throughput = 1e-9
		rep, err := verify.Run(context.Background(), &verify.Subject{}, Checks(Options{Protocol: p, Endpoint: fake(t, c.answer), URL: fakeURL}))
		if err != nil {
			t.Fatal(err)
		}
		r, _ := rep.Check("stress " + c.check)
		if r.Status != c.want || !strings.Contains(r.Detail, c.why) {
			t.Errorf("%s: %s: %s: %s; want %s, %q", c.name, c.check, r.Status, r.Detail, c.want, c.why)
		}
	}
}

func TestLine(t *testing.T) {
	if slope, r2 := line([]float64{1, 2, 3, 4}, []float64{5, 7, 9, 11}); math.Abs(slope-2) > 1e-12 || math.Abs(r2-1) > 1e-12 {
		t.Errorf("slope %v, R² %v", slope, r2)
	}
	if _, r2 := line([]float64{1, 2, 3, 4}, []float64{1, 8, 64, 512}); r2 > 0.8 {
		t.Errorf("growth by powers has R² %v", r2)
	}
}

func TestQuarters(t *testing.T) {
	a := &answer{}
	for i := range 40 {
		d := 10 * i
		if i > 20 {
			d = 200 + 40*(i-20) // four times as slow from the middle on
		}
		a.pieces = append(a.pieces, time.Duration(d)*time.Millisecond)
	}
	if q := quarters(a); math.Abs(float64(q)-0.25) > 1e-9 {
		t.Errorf("last quarter %v", q)
	}
	if q := quarters(&answer{pieces: a.pieces[:8]}); q.Valid() {
		t.Errorf("a short answer has %v", q)
	}
}

func TestProtocol(t *testing.T) {
	p, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.requests(); len(got) != 25 || got[5] != "Request 6: Create a detailed fantasy world with unique magic systems and cultures." {
		t.Errorf("%d requests, the sixth %q", len(got), got[5])
	}
	if len(p.Categories) != 5 || p.Temperature != 0.7 || p.Timeout != 300 || p.Basic.Tokens != 200 || p.Long.Tokens != 2000 || p.Concurrent.Tokens != 300 {
		t.Errorf("%+v", p)
	}
	for want, text := range map[string]string{
		"field tokns not found":     "moeconv_stress: 1\nsoak: {tokns: 3}\n",
		"format 2":                  "moeconv_stress: 2\n",
		"long.tokens is too small":  "moeconv_stress: 1\nlong: {tokens: 0}\n",
		"there are no prompts":      "moeconv_stress: 1\ncategories: []\n",
		"has no name or no prompts": "moeconv_stress: 1\ncategories: [{name: a}]\n",
		"burst.tokens is too small": "moeconv_stress: 1\nburst: {tokens: [3, 0]}\n",
		"burst.leave is too small":  "moeconv_stress: 1\nburst: {leave: -1}\n",
		"turns.messages":            "moeconv_stress: 1\nturns: {messages: []}\n",
		"soak.seconds is too small": "moeconv_stress: 1\nsoak: {seconds: -1}\n",
		"temperature is too small":  "moeconv_stress: 1\ntemperature: -1\n",
	} {
		q := *p
		if err := q.decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if _, err := Load("nowhere.yaml"); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

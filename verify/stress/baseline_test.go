package stress

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moeconv/moeconv/verify"
)

func phases(figures map[string]map[string]float64) (out []verify.Result) {
	for name, f := range figures {
		r := verify.NewResult(verify.Pass, "")
		r.Name, r.Figures = "stress "+name, map[string]verify.Number{}
		for k, v := range f {
			r.Figures[k] = verify.Number(v)
		}
		out = append(out, r)
	}
	return out
}

// Each figure against what it was: only those that are worse by more than the bound fail, and only as far as more or less
// of them is worse at all.
func TestCompare(t *testing.T) {
	was := map[string]map[string]float64{"basic": {"tokens/s": 100, "tokens": 500}, "soak": {"latency p95": 2, "memory drift": 0.001},
		"context": {"bytes a token": 1000, "tokens/s at 256": 50}, "turns": {"first token, last turn": 0.001}}
	for _, c := range []struct {
		name, phase, figure string
		now                 float64
		want                verify.Status
		why                 string
	}{
		{"as it was", "basic", "tokens/s", 100, verify.Pass, "5 figures"},
		{"slower", "basic", "tokens/s", 79, verify.Fail, "basic: tokens/s 79, was 100"},
		{"slower within the bound", "basic", "tokens/s", 81, verify.Pass, "the least -19.0%"},
		{"faster", "basic", "tokens/s", 300, verify.Pass, "5 figures"},
		{"fewer tokens", "basic", "tokens", 3, verify.Pass, "5 figures"},
		{"later", "soak", "latency p95", 2.5, verify.Fail, "soak: latency p95 2.5, was 2"},
		{"sooner", "soak", "latency p95", 1, verify.Pass, "5 figures"},
		{"more memory", "context", "bytes a token", 1300, verify.Fail, "bytes a token 1300, was 1000"},
		{"slower at a length", "context", "tokens/s at 256", 10, verify.Fail, "tokens/s at 256 10, was 50"},
		{"milliseconds", "turns", "first token, last turn", 0.004, verify.Pass, "5 figures"},
		{"drift", "soak", "memory drift", 5, verify.Pass, "5 figures"},
	} {
		now := map[string]map[string]float64{}
		for phase, f := range was {
			now[phase] = map[string]float64{}
			for k, v := range f {
				now[phase][k] = v
			}
		}
		now[c.phase][c.figure] = c.now
		r := compare(phases(now), verify.Report{Checks: phases(was)}, 0.2)
		if r.Status != c.want || !strings.Contains(r.Detail, c.why) {
			t.Errorf("%s: %s: %s; want %s, %q", c.name, r.Status, r.Detail, c.want, c.why)
		}
	}
	broken := phases(was)
	for i := range broken {
		broken[i].Status = verify.Fail
	}
	if r := compare(broken, verify.Report{Checks: phases(was)}, 0.2); r.Status != verify.Fail || !strings.Contains(r.Detail, "soak fails, and did not") {
		t.Errorf("%s: %s", r.Status, r.Detail)
	}
	if r := compare(phases(was), verify.Report{}, 0.2); r.Status != verify.NotApplicable {
		t.Errorf("nothing to compare: %s: %s", r.Status, r.Detail)
	}
}

func TestLoadBaseline(t *testing.T) {
	dir := t.TempDir()
	const check = `"checks":[{"name":"stress basic","status":"pass","figures":{"tokens/s":5}}]`
	for name, c := range map[string]struct{ text, fails string }{
		"two.json":   {`{"files":[{"name":"a.gguf","scheme":"Q8_0",` + check + `},{"name":"b.gguf","scheme":"Q2_K",` + check + `}]}`, ""},
		"none.json":  {`{"files":[{"name":"a.gguf","checks":[{"name":"scan","status":"pass"}]}]}`, "no file in it"},
		"other.json": {`[1, 2`, "EOF"},
		"empty.json": {``, "EOF"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		b, err := LoadBaseline(path)
		if c.fails != "" {
			var be *BaselineError
			if !errors.As(err, &be) || be.Hint() == "" {
				t.Errorf("%s: %v; want %q", name, err, c.fails)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []struct{ name, scheme, want string }{{"b.gguf", "Q2_K", "b.gguf"}, {"new.gguf", "Q8_0", "a.gguf"}, {"new.gguf", "Q6_K", ""}} {
			if r, ok := b.of(f.name, f.scheme); ok != (f.want != "") || ok && r.Name != f.want {
				t.Errorf("%v: %s, %v", f, r.Name, ok)
			}
		}
	}
	if _, err := LoadBaseline(filepath.Join(dir, "nowhere.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// Work that goes on after a burst is seen, and waited for only so long.
func TestSettled(t *testing.T) {
	idle := working()
	stop := make(chan struct{})
	for range 8 {
		go func() { <-stop }()
	}
	if n := settled(idle, 50*time.Millisecond); n < idle+4 {
		t.Errorf("%d goroutines, %d were idle and 8 more are at work", n, idle)
	}
	close(stop)
}

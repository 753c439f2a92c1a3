package stress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify"
)

func now() time.Time                { return time.Now() }
func since(begin time.Time) float64 { return time.Since(begin).Seconds() }

// heap is the bytes of memory in use, garbage collected.
func heap() float64 {
	goruntime.GC()
	goruntime.GC() // what pools hold goes with the second
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// noise is how much the heap may differ for reasons that are not the context.
const noise = 256 << 10

// context fills sessions to parts of the context, to one token before its end, to the end, and beyond.
func (r *run) context(ctx context.Context, res *verify.Result) error {
	if r.t.model == nil {
		res.Status, res.Detail = verify.NotApplicable, "the memory of an endpoint cannot be seen"
		return nil
	}
	m := r.t.model
	limit := m.ContextLength()
	ids := filler(m, limit+1)
	var xs, ys []float64
	for _, n := range []int{limit / 2, limit * 5 / 8, limit * 3 / 4, limit * 7 / 8, limit - 1, limit} {
		before := heap()
		s := m.NewSession()
		begin := now()
		if _, err := s.Eval(ctx, ids[:n], runtime.WantLast); err != nil {
			return fmt.Errorf("%d tokens: %w", n, err)
		}
		xs, ys = append(xs, float64(n)), append(ys, heap()-before)
		res.Figures[fmt.Sprintf("tokens/s at %d", n)] = verify.Number(float64(n) / since(begin))
		if n < limit {
			goruntime.KeepAlive(s)
			continue
		}
		if err := beyond(ctx, s, ids, limit); err != nil {
			return err
		}
		goruntime.KeepAlive(s)
	}
	if err := r.tooLong(ctx, limit); err != nil {
		return err
	}
	slope, r2 := line(xs, ys)
	res.Figure, res.Threshold = verify.Number(r2), verify.Number(r.Gates.Linearity)
	res.Figures["context"], res.Figures["bytes a token"] = verify.Number(limit), verify.Number(slope)
	if ys[len(ys)-1]-ys[0] < noise {
		res.Figure = verify.None()
		sum(res, "%d tokens, and a clear error beyond; memory grows by less than can be measured", limit)
		return nil
	}
	if r2 < r.Gates.Linearity {
		return fmt.Errorf("memory does not grow in a line with the context: R² %.4f, %g is demanded", r2, r.Gates.Linearity)
	}
	sum(res, "%d tokens, and a clear error beyond; memory grows by %.0f bytes a token, R² %.5f", limit, slope, r2)
	return nil
}

// beyond adds a token to a full session, which must refuse and stay what it was, and go on after a reset.
func beyond(ctx context.Context, s *runtime.Session, ids []int32, limit int) error {
	var full *runtime.ContextError
	if _, err := s.Eval(ctx, ids[limit:], runtime.WantLast); !errors.As(err, &full) {
		return fmt.Errorf("token %d of a context of %d: %v; want a refusal", limit+1, limit, err)
	}
	if s.Len() != limit {
		return fmt.Errorf("a refused token left a text of %d tokens, it had %d", s.Len(), limit)
	}
	first := min(16, limit)
	s.Reset()
	again, err := s.Eval(ctx, ids[:first], runtime.WantLast)
	if err != nil {
		return fmt.Errorf("after a reset: %w", err)
	}
	fresh, err := s.Model().NewSession().Eval(ctx, ids[:first], runtime.WantLast)
	if err != nil {
		return err
	}
	if !slices.Equal(again.Last(), fresh.Last()) {
		return errors.New("a session that was reset gives other logits than a fresh one")
	}
	return nil
}

// filler is n ids of ordinary tokens.
func filler(m *runtime.Model, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32((i*7919 + 300) % m.VocabSize())
	}
	return out
}

// line fits y = a + slope*x and says how much of y's variance it explains (R²).
func line(xs, ys []float64) (slope, r2 float64) {
	n := float64(len(xs))
	var mx, my, sxx, sxy, syy float64
	for i := range xs {
		mx += xs[i] / n
		my += ys[i] / n
	}
	for i := range xs {
		sxx += (xs[i] - mx) * (xs[i] - mx)
		sxy += (xs[i] - mx) * (ys[i] - my)
		syy += (ys[i] - my) * (ys[i] - my)
	}
	if sxx == 0 || syy == 0 {
		return 0, 1
	}
	return sxy / sxx, sxy * sxy / (sxx * syy)
}

// tooLong sends a prompt that cannot fit: the server must say so.
func (r *run) tooLong(ctx context.Context, limit int) error {
	_, err := r.t.ask(ctx, r.Protocol, strings.Repeat("word ", 2*limit), 8, 0)
	var refused *server.Error
	if !errors.As(err, &refused) || refused.Status/100 != 4 || !strings.Contains(refused.Message, "context") {
		return fmt.Errorf("a prompt beyond the context of %d: %v; want a refusal that says so", limit, err)
	}
	return nil
}

// soak keeps the server busy for the protocol's time.
func (r *run) soak(ctx context.Context, res *verify.Result) error {
	requests := r.requests()
	begin := now()
	var latency []float64
	tokens := 0
	start, end := 0.0, 0.0
	for i := 0; i < 4 || since(begin) < r.Soak.Seconds; i++ {
		a, err := r.t.ask(ctx, r.Protocol, requests[i%len(requests)], r.Soak.Tokens, uint64(i))
		if err != nil {
			return fmt.Errorf("request %d after %.0f s: %w", i+1, since(begin), err)
		}
		latency = append(latency, a.total.Seconds())
		tokens += a.tokens
		if i == 1 {
			start = heap() // the first ones make room
		}
	}
	end = heap()
	r.pace(res, tokens, since(begin))
	drift := (end - start) / start
	for name, v := range map[string]float64{"requests": float64(len(latency)), "seconds": since(begin), "latency p50": quantile(latency, 0.5),
		"latency p95": quantile(latency, 0.95), "memory drift": drift} {
		res.Figures[name] = verify.Number(v)
	}
	if r.t.model == nil {
		delete(res.Figures, "memory drift")
	} else if drift > r.Gates.Drift {
		note(res, "memory grew by %.1f%%", 100*drift)
	}
	sum(res, "%.0f s, %d requests, all answered", since(begin), len(latency))
	return nil
}

// quantile is the value below which a share of the values lies; None of none.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return float64(verify.None())
	}
	values = slices.Sorted(slices.Values(values))
	return values[min(int(share*float64(len(values))), len(values)-1)]
}

// recovery breaks requests off and sends broken ones; what is asked next is answered as before.
func (r *run) recovery(ctx context.Context, res *verify.Result) error {
	prompt := r.Categories[0].Prompts[0]
	before, err := r.t.ask(ctx, r.Protocol, prompt, r.Soak.Tokens, 1)
	if err != nil {
		return err
	}
	tries := []struct {
		name string
		do   func() error
	}{
		{"a client that goes away", func() error { return r.leave(ctx, prompt) }},
		{"a body that is no JSON", func() error { return r.post(ctx, "{", 400) }},
		{"a negative number of tokens", func() error { return r.post(ctx, `{"prompt":"x","max_tokens":-5}`, 400) }},
		{"a model that is not there", func() error { return r.post(ctx, `{"model":"none/such","prompt":"x","max_tokens":1}`, 404) }},
	}
	if r.t.model != nil {
		tries = append(tries, struct {
			name string
			do   func() error
		}{"a prompt beyond the context", func() error { return r.tooLong(ctx, r.t.model.ContextLength()) }})
	}
	for _, t := range tries {
		if err := t.do(); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		after, err := r.t.ask(ctx, r.Protocol, prompt, r.Soak.Tokens, 1)
		if err != nil {
			return fmt.Errorf("after %s: %w", t.name, err)
		}
		if s := alike(before.text, after.text); s < r.Gates.Consistency {
			return fmt.Errorf("after %s the answer is %.1f%% what it was", t.name, 100*s)
		}
	}
	res.Figures["errors recovered from"] = verify.Number(len(tries))
	sum(res, "the same answer after each of %d errors", len(tries))
	return nil
}

// leave breaks an answer off at its first piece.
func (r *run) leave(ctx context.Context, prompt string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := r.t.say(ctx, r.Protocol, []message{{"user", prompt}}, r.Long.Tokens, 0, func(string) { cancel() })
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// post sends a body that must be refused; other servers choose other statuses of the same class.
func (r *run) post(ctx context.Context, body string, want int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(strings.TrimSuffix(r.t.url, "/"), "/v1")+"/v1/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if r.t.model != nil && resp.StatusCode != want || resp.StatusCode/100 == 5 {
		return fmt.Errorf("status %d, want %d", resp.StatusCode, want)
	}
	return nil
}

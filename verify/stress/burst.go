package stress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify"
)

// settle is how long what a burst left behind may take to end.
const settle = 10 * time.Second

// spare is the number of goroutines that may have come for other reasons; each request that goes on has more.
const spare = 2

// burst sends many requests of mixed lengths at once, some of whose clients go away. Each is answered or refused for want of
// room; what was refused is answered later, nothing goes on working, and an answer afterwards is what it was before.
func (r *run) burst(ctx context.Context, res *verify.Result) error {
	prompt := r.Categories[0].Prompts[0]
	before, err := r.t.ask(ctx, r.Protocol, prompt, r.Soak.Tokens, 1)
	if err != nil {
		return err
	}
	idle := working()
	begin := now()
	got := r.atOnce(ctx)
	seconds := since(begin)
	var latency, first []float64
	var refused []int
	tokens, left := 0, 0
	for i, g := range got {
		var e *server.Error
		switch {
		case g.err == nil:
			latency, first, tokens = append(latency, g.total.Seconds()), append(first, g.first().Seconds()), tokens+g.tokens
		case g.left:
			left++
		case errors.As(g.err, &e) && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable):
			refused = append(refused, i)
		default:
			return fmt.Errorf("request %d of %d at once: %w", i+1, len(got), g.err)
		}
	}
	for _, i := range refused {
		if _, err := r.t.say(ctx, r.Protocol, r.burstPrompt(i), r.burstTokens(i), uint64(i), nil); err != nil {
			return fmt.Errorf("request %d, which was refused in the burst, again: %w", i+1, err)
		}
	}
	if r.t.model != nil {
		if n := settled(idle+spare, settle); n > idle+spare {
			return fmt.Errorf("%d goroutines more than before are at work %v after the burst", n-idle, settle)
		}
	}
	after, err := r.t.ask(ctx, r.Protocol, prompt, r.Soak.Tokens, 1)
	if err != nil {
		return fmt.Errorf("after the burst: %w", err)
	}
	if s := alike(before.text, after.text); s < r.Gates.Consistency {
		return fmt.Errorf("after the burst the answer is %.1f%% what it was", 100*s)
	}
	share := float64(len(latency)) / float64(max(1, len(got)-left))
	res.Figure, res.Threshold = verify.Number(share), verify.Number(r.Gates.Answered)
	for name, v := range map[string]float64{"requests": float64(len(got)), "answered": share, "refused": float64(len(refused)), "left": float64(left), "tokens": float64(tokens),
		"seconds": seconds, "tokens/s": float64(tokens) / seconds, "latency p50": quantile(latency, 0.5), "latency p95": quantile(latency, 0.95), "first token p95": quantile(first, 0.95)} {
		res.Figures[name] = verify.Number(v)
	}
	if share < r.Gates.Answered {
		note(res, "%d were refused at first", len(refused))
	}
	sum(res, "%d requests at once: %d answered, %d clients went away, %d refused and answered later; 95%% had their first token within %.3g s", len(got), len(latency), left,
		len(refused), quantile(first, 0.95))
	return nil
}

// outcome is what one client of a burst saw.
type outcome struct {
	*answer
	err  error
	left bool // it went away
}

// atOnce sends the burst's requests, all at one time.
func (r *run) atOnce(ctx context.Context) []outcome {
	got := make([]outcome, r.Burst.Requests)
	var wait sync.WaitGroup
	for i := range got {
		wait.Go(func() {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			leaves := r.Burst.Leave > 0 && i%r.Burst.Leave == r.Burst.Leave-1
			got[i].answer, got[i].err = r.t.say(ctx, r.Protocol, r.burstPrompt(i), r.burstTokens(i), uint64(i), func(string) {
				if leaves {
					cancel()
				}
			})
			got[i].left = leaves && errors.Is(got[i].err, context.Canceled)
		})
	}
	wait.Wait()
	return got
}

func (r *run) burstTokens(i int) int { return r.Burst.Tokens[i%len(r.Burst.Tokens)] }

// burstPrompt is of another category each time.
func (r *run) burstPrompt(i int) []message {
	c := r.Categories[i%len(r.Categories)]
	return []message{{"user", c.Prompts[i/len(r.Categories)%len(c.Prompts)]}}
}

// working is the number of goroutines without those of idle connections.
func working() int {
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(20 * time.Millisecond) // connections end in goroutines of their own
	return goruntime.NumGoroutine()
}

// settled waits until no more goroutines than before are at work, and says how many there are.
func settled(idle int, limit time.Duration) int {
	n := working()
	for begin := now(); n > idle && time.Since(begin) < limit; {
		n = working()
	}
	return n
}

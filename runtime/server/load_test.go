package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// call is a request of the mixed load, and what it is answered.
type call struct {
	path, body string
	stream     bool
}

// mixed is 25 requests of all kinds, at temperature 0.
func mixed() []call {
	var jobs []call
	prompts := []string{"package main\n", "func (", "import (\n", "type T struct {", "// Package "}
	for i := range 25 {
		p, _ := json.Marshal(prompts[i%len(prompts)])
		stream := i%2 == 0
		tail := fmt.Sprintf(`"max_tokens":%d,"temperature":0,"stream":%v}`, 6+i, stream)
		switch i % 3 {
		case 0:
			jobs = append(jobs, call{"/v1/chat/completions", fmt.Sprintf(`{"messages":[{"role":"user","content":%s}],`, p) + tail, stream})
		case 1:
			jobs = append(jobs, call{"/v1/completions", fmt.Sprintf(`{"prompt":%s,`, p) + tail, stream})
		case 2:
			jobs = append(jobs, call{"/api/generate", fmt.Sprintf(`{"prompt":%s,`, p) + tail, stream})
		}
	}
	return jobs
}

// textOf is the text in a response, streamed or not.
func textOf(j call, data []byte) (string, error) {
	type any struct {
		chunk
		Response string
	}
	var parts []any
	if !j.stream {
		parts = make([]any, 1)
		if err := json.Unmarshal(data, &parts[0]); err != nil {
			return "", err
		}
	} else {
		var done bool
		var err error
		if parts, done, err = parseEvents[any](data); err != nil || !done {
			return "", fmt.Errorf("done %v, error %v", done, err)
		}
	}
	var text strings.Builder
	for _, p := range parts {
		text.WriteString(p.Response)
		for _, c := range p.Choices {
			text.WriteString(c.Message.Content + c.Delta.Content + c.Text)
		}
	}
	return text.String(), nil
}

func send(ctx context.Context, client *http.Client, url string, j call) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+j.path, strings.NewReader(j.body))
	if err != nil {
		return nil, err
	}
	return client.Do(r)
}

// answer is the text of a whole answer.
func answer(ctx context.Context, client *http.Client, url string, j call) (string, error) {
	r, err := send(ctx, client, url, j)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	if r.StatusCode != 200 {
		return "", fmt.Errorf("%s: %s", r.Status, data)
	}
	return textOf(j, data)
}

// leave reads a little of an answer, if anything, and goes away.
func leave(client *http.Client, url string, j call, after time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	time.AfterFunc(after, cancel)
	if r, err := send(ctx, client, url, j); err == nil {
		bufio.NewReader(r.Body).ReadString('\n')
		cancel()
		r.Body.Close()
	}
}

// settled waits until the number of goroutines is at most n.
func settled(n int) int {
	for range 200 {
		if goruntime.NumGoroutine() <= n {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return goruntime.NumGoroutine()
}

func heap() uint64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestLoad: of 25 requests at once 10 go away at random moments; the others get what they get alone, and nothing is left.
func TestLoad(t *testing.T) {
	if _, err := load(); err != nil {
		t.Fatal(err)
	}
	heapBefore, goroutines := heap(), goruntime.NumGoroutine()
	func() {
		m, err := load()
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(m, Options{Name: "tiny"})
		if err != nil {
			t.Fatal(err)
		}
		h := httptest.NewServer(s)
		defer h.Close()
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 30}}
		defer client.CloseIdleConnections()
		jobs := mixed()
		want := make([]string, len(jobs))
		for i, j := range jobs {
			if want[i], err = answer(t.Context(), client, h.URL, j); err != nil {
				t.Fatal(err)
			}
		}
		rng := rand.New(rand.NewPCG(1, 2))
		leaving := map[int]time.Duration{}
		for _, i := range rng.Perm(len(jobs))[:10] {
			leaving[i] = time.Duration(rng.Int64N(int64(200 * time.Millisecond)))
		}
		var all sync.WaitGroup
		for i, j := range jobs {
			all.Go(func() {
				if after, ok := leaving[i]; ok {
					leave(client, h.URL, j, after)
					return
				}
				if got, err := answer(t.Context(), client, h.URL, j); err != nil || got != want[i] {
					t.Errorf("request %d: %q, %v, want %q", i, got, err, want[i])
				}
			})
		}
		all.Wait()
		s.running.Wait()
		if running, waiting := s.engine.load(); running != 0 || waiting != 0 || len(s.engine.idle) > 4 || len(s.engine.jobs) != 0 || s.engine.looping {
			t.Errorf("%d running, %d waiting, %d sessions", running, waiting, len(s.engine.idle))
		}
	}()
	if n := settled(goroutines); n > goroutines {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", n, goroutines, stacks[:goruntime.Stack(stacks, true)])
	}
	after := heap()
	for i := 0; i < 50 && after > heapBefore+1<<20; i++ { // a helper of the kernels may still hold what it did last
		time.Sleep(100 * time.Millisecond)
		after = heap()
	}
	if after > heapBefore+1<<20 {
		t.Errorf("%d bytes are left", after-heapBefore)
	}
}

// TestSessions: a text goes on in the session that knows it, while others keep theirs.
func TestSessions(t *testing.T) {
	_, url := start(t, Options{Slots: 2})
	cached := func(prompt string) int {
		body, _ := json.Marshal(prompt)
		return ask[chunk](t, url+"/v1/completions", `{"prompt":`+string(body)+`,"max_tokens":1,"temperature":0}`).Usage.Details.CachedTokens
	}
	a, b, c := strings.Repeat("package main\n", 8), strings.Repeat("func (s *T) ", 8), strings.Repeat("return x + 1\n", 8)
	for i, x := range []struct {
		prompt string
		known  bool
	}{{a, false}, {b, false}, {a, true}, {b, true}, {c, false}, {b, true}, {c, true}, {a, false}} {
		if n := cached(x.prompt); (n > 10) != x.known {
			t.Errorf("request %d: %d tokens in the session, known %v", i, n, x.known)
		}
	}
	body, _ := json.Marshal(a)
	if u := ask[chunk](t, url+"/v1/completions", `{"prompt":`+string(body)+`,"max_tokens":1,"cache_prompt":false}`).Usage; u.Details.CachedTokens != 0 {
		t.Errorf("evaluated anew: %+v", u)
	}
}

// TestTurns: a short answer does not wait for a long one that began before.
func TestTurns(t *testing.T) {
	_, url := start(t, Options{})
	long, err := send(t.Context(), http.DefaultClient, url, call{"/v1/completions", `{"prompt":"func (","max_tokens":200,"temperature":0,"ignore_eos":true,"stream":true}`, true})
	if err != nil {
		t.Fatal(err)
	}
	defer long.Body.Close()
	r := bufio.NewReader(long.Body)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ask[chunk](t, url+"/v1/completions", `{"prompt":"x","max_tokens":2,"temperature":0}`)
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%.100q", rest)
	}
}

// endless is a request that computes until it is cancelled.
const endless = `{"prompt":"func (","temperature":0,"ignore_eos":true,"stream":true}`

// TestQueue: when all slots and the queue are full, more are refused with a time to come again.
func TestQueue(t *testing.T) {
	s, url := start(t, Options{Slots: 1, Queue: 1, Shift: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, err := send(ctx, http.DefaultClient, url, call{"/v1/completions", endless, true})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	gone, leave := context.WithCancel(ctx)
	waited := make(chan error)
	go func() {
		_, err := send(gone, http.DefaultClient, url, call{"/v1/completions", `{"prompt":"x"}`, false})
		waited <- err
	}()
	for range 500 {
		if _, waiting := s.engine.load(); waiting == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r, data := post(t, url+"/v1/completions", `{"prompt":"y"}`)
	checkError(t, "third", r, data, 429, "queue_full", "")
	if after, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || after < 1 {
		t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
	}
	leave()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	cancel()
	s.running.Wait()
	ask[chunk](t, url+"/v1/completions", `{"prompt":"y","max_tokens":1}`)
}

// TestTimeouts: a request that takes too long ends with an error, as does one whose body does not come.
func TestTimeouts(t *testing.T) {
	_, url := start(t, Options{Timeout: 50 * time.Millisecond, ReadTimeout: 50 * time.Millisecond, Shift: true})
	r, data := post(t, url+"/v1/completions", strings.Replace(endless, "true}", "false}", 1))
	checkError(t, "endless", r, data, 504, "timeout", "")
	_, data = post(t, url+"/v1/completions", endless)
	events, done, err := parseEvents[struct{ Error *Error }](data)
	if err != nil || done || len(events) < 2 || events[len(events)-1].Error == nil || *events[len(events)-1].Error.Code != "timeout" {
		t.Errorf("%v, %v: %s", done, err, data)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 408 {
		t.Errorf("%v, %v", resp, err)
	}
}

// TestShutdown: running requests may end; those that do not are cut off.
func TestShutdown(t *testing.T) {
	for _, c := range []struct {
		body  string
		whole bool
	}{{`{"prompt":"func (","temperature":0,"max_tokens":40,"ignore_eos":true,"stream":true}`, true}, {endless, false}} {
		m, err := load()
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(m, Options{Grace: time.Minute, Shift: true})
		if !c.whole {
			s, err = New(m, Options{Grace: 50 * time.Millisecond, Shift: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, l) }()
		r, err := send(t.Context(), http.DefaultClient, "http://"+l.Addr().String(), call{"/v1/completions", c.body, true})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		data, err := io.ReadAll(r.Body)
		r.Body.Close()
		if whole := strings.HasSuffix(string(data), "data: [DONE]\n\n"); whole != c.whole {
			t.Errorf("%s: %v, ends with %.80q", c.body, err, data[max(0, len(data)-80):])
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := http.Get("http://" + l.Addr().String() + "/health"); err == nil {
			t.Error("the server still answers")
		}
	}
}

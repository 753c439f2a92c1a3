package server

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// pipes is a listener whose connections hold nothing: a write waits for its reader.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestStuckClient: one that reads nothing loses its stream and its slot.
func TestStuckClient(t *testing.T) {
	s, url := start(t, Options{WriteTimeout: 50 * time.Millisecond, Slots: 1, Shift: true})
	l := make(pipes)
	go http.Serve(l, s)
	defer close(l)
	client, conn := net.Pipe()
	defer client.Close()
	l <- conn
	fmt.Fprintf(client, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(endless), endless)
	for range 500 {
		if running, _ := s.engine.load(); running == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got := ask[chunk](t, url+"/v1/completions", `{"prompt":"y","max_tokens":1}`); got.Usage.CompletionTokens != 1 {
		t.Errorf("%+v", got)
	}
	s.running.Wait()
}

// TestBesideStuckClient: one that reads nothing does not keep others from joining.
func TestBesideStuckClient(t *testing.T) {
	s, url := start(t, Options{WriteTimeout: time.Hour, Slots: 2, Shift: true})
	l := make(pipes)
	go http.Serve(l, s)
	defer close(l)
	client, conn := net.Pipe()
	l <- conn
	fmt.Fprintf(client, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(endless), endless)
	full := func() bool {
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		return len(s.engine.jobs) == 1 && len(s.engine.jobs[0].events) == ahead
	}
	for i := 0; !full(); i++ {
		if i == 20000 {
			t.Fatal("the stream does not fill up")
		}
		time.Sleep(time.Millisecond)
	}
	ask[chunk](t, url+"/v1/completions", `{"prompt":"y","max_tokens":5}`)
	client.Close()
	s.running.Wait()
}

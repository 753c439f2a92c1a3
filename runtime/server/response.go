package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

// response is one answer to a request: a JSON document, or events. Every write has a deadline of its own.
type response struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	begun   bool // events were sent, so an error can only be one more
}

func (r *response) deadline() {
	r.control.SetWriteDeadline(time.Now().Add(r.timeout)) // fails for writers without deadlines only
}

// json sends one document.
func (r *response) json(v any) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	r.deadline()
	r.w.Header().Set("Content-Type", "application/json")
	_, err = r.w.Write(data)
	return err
}

// event sends one event of a stream.
func (r *response) event(v any) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	return r.data(bytes.TrimSuffix(data, []byte("\n")))
}

// done ends a stream.
func (r *response) done() error { return r.data([]byte("[DONE]")) }

func (r *response) data(data []byte) error {
	r.deadline()
	if !r.begun {
		r.begun = true
		h := r.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
	}
	if _, err := r.w.Write(append(append([]byte("data: "), data...), "\n\n"...)); err != nil {
		return err
	}
	return r.control.Flush()
}

// fail sends an error: with its status, or as the last event of a stream.
func (r *response) fail(err error) {
	e := asError(err)
	r.deadline()
	if r.begun {
		r.event(errorBody{e})
		return
	}
	e.write(r.w)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

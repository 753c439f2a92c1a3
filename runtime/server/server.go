package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// Server serves one model.
type Server struct {
	opts    Options
	engine  *engine
	model   *runtime.Model
	tok     *token.Tokenizer
	created int64
	mux     *http.ServeMux
	running sync.WaitGroup
}

// New makes a server of m; it fails if the model has no tokenizer.
func New(m *runtime.Model, opts Options) (*Server, error) {
	opts = opts.orDefaults()
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, engine: newEngine(m, opts), model: m, tok: tok, created: time.Now().Unix(), mux: http.NewServeMux()}
	for route, f := range map[string]func(*http.Request, *response) error{
		"GET /health":               s.health,
		"GET /v1/health":            s.health,
		"GET /v1/models":            s.models,
		"GET /v1/models/{name...}":  s.oneModel,
		"POST /v1/chat/completions": s.chatCompletions,
		"POST /v1/completions":      s.completions,
		"POST /api/generate":        s.nativeGenerate,
		"POST /tokenize":            s.tokenize,
		"POST /detokenize":          s.detokenize,
	} {
		s.mux.HandleFunc(route, s.handle(f))
	}
	s.mux.HandleFunc("/", s.handle(s.unknown))
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// handle makes a handler of f: its error becomes the response.
func (s *Server) handle(f func(*http.Request, *response) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		ctx, cancel := context.WithTimeout(r.Context(), s.opts.Timeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, s.opts.MaxBody)
		out := &response{w: w, control: http.NewResponseController(w), timeout: s.opts.WriteTimeout}
		start := time.Now()
		if err := f(r.WithContext(ctx), out); err != nil {
			s.opts.Log("%s %s: after %.1f s: %v", r.Method, r.URL.Path, time.Since(start).Seconds(), err)
			out.fail(err) // in vain where the client is gone
		}
	}
}

// unknown refuses what is no route, and says so where only the method is wrong.
func (s *Server) unknown(r *http.Request, _ *response) error {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/" && method != r.Method {
			return refuse(http.StatusMethodNotAllowed, invalidRequest, "", "method_not_allowed", "Not allowed: %s %s. Use %s.", r.Method, r.URL.Path, method)
		}
	}
	return refuse(http.StatusNotFound, invalidRequest, "", "unknown_url", "Unknown request URL: %s %s.", r.Method, r.URL.Path)
}

// read decodes a request's body, within the time for that.
func (s *Server) read(r *http.Request, out *response, v any) error {
	out.control.SetReadDeadline(time.Now().Add(s.opts.ReadTimeout))
	data, err := io.ReadAll(r.Body)
	if err == nil {
		out.control.SetReadDeadline(time.Time{}) // or the connection would be taken for closed when it passes
	}
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return refuse(http.StatusRequestTimeout, invalidRequest, "", "timeout", "The request's body did not come in time.")
	case err != nil:
		return err
	}
	err = json.Unmarshal(data, v)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return refuse(http.StatusBadRequest, invalidRequest, "", "invalid_type", "The body of the request is no JSON object: got %s.", kind.Value)
	case errors.As(err, &kind):
		kind.Field = kind.Field[strings.LastIndexByte(kind.Field, '.')+1:]
		return refuse(http.StatusBadRequest, invalidRequest, kind.Field, "invalid_type", "Invalid type for '%s': got %s, want %v.", kind.Field, kind.Value, kind.Type)
	case err != nil:
		var own *Error
		if errors.As(err, &own) {
			return own
		}
		return refuse(http.StatusBadRequest, invalidRequest, "", "invalid_json", "The body of the request is not valid JSON: %v", err)
	}
	return nil
}

// Serve answers requests until ctx ends; then running requests have Options.Grace to end. It returns when all have.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, done := context.WithTimeout(base, s.opts.Grace)
	defer done()
	if h.Shutdown(grace) != nil {
		cancel()
		h.Close()
	}
	<-failed
	s.running.Wait()
	return nil
}

func (s *Server) health(_ *http.Request, out *response) error {
	running, waiting := s.engine.load()
	perStep := s.engine.perStep()
	return out.json(map[string]any{"status": "ok", "model": s.opts.Name, "running": running, "waiting": waiting, "generations_per_step": perStep})
}

// checkModel refuses requests for another model; none named is fine.
func (s *Server) checkModel(name string) error {
	if name == "" || name == s.opts.Name {
		return nil
	}
	return refuse(http.StatusNotFound, invalidRequest, "model", "model_not_found", "The model '%s' does not exist; this server has '%s'.", name, s.opts.Name)
}

type modelDoc struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Created int64          `json:"created"`
	OwnedBy string         `json:"owned_by"`
	Meta    map[string]int `json:"meta"`
}

func (s *Server) modelDoc() modelDoc {
	return modelDoc{s.opts.Name, "model", s.created, "moeconv", map[string]int{"n_ctx": s.model.ContextLength(), "n_vocab": s.model.VocabSize()}}
}

func (s *Server) models(_ *http.Request, out *response) error {
	return out.json(map[string]any{"object": "list", "data": []modelDoc{s.modelDoc()}})
}

func (s *Server) oneModel(r *http.Request, out *response) error {
	if err := s.checkModel(r.PathValue("name")); err != nil {
		return err
	}
	return out.json(s.modelDoc())
}

package server

import (
	"net/http"

	"github.com/moeconv/moeconv/runtime"
)

// nativeRequest is the body of /api/generate.
type nativeRequest struct {
	sampling
	Prompt  prompts `json:"prompt"`
	Options struct {
		NumPredict *int `json:"num_predict"`
	} `json:"options"`
}

// nativeResponse is the response.
type nativeResponse struct {
	Model    string `json:"model"`
	Response string `json:"response"`
	Done     bool   `json:"done"`
	Reason   string `json:"done_reason"`
	Usage    Usage  `json:"usage"`
}

// nativeEvent is exactly one token: neither a line break nor a cut character can split it.
type nativeEvent struct {
	ID    int32  `json:"id"`
	Text  string `json:"response"` // what became final with the token, UTF-8
	Bytes []int  `json:"bytes"`    // of the token itself
	Time  int64  `json:"t_ns"`     // since the generation began
	// Of the last event:
	Done   bool   `json:"done"`
	Reason string `json:"done_reason,omitempty"`
	Usage  *Usage `json:"usage,omitempty"`
}

// nativeGenerate continues a text. A stream has one event a token, the last with the usage, and ends with [DONE].
func (s *Server) nativeGenerate(r *http.Request, out *response) error {
	var q nativeRequest
	if err := s.read(r, out, &q); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	if q.MaxTokens == nil {
		q.MaxTokens = q.Options.NumPredict
	}
	opts, err := q.generation()
	switch {
	case err != nil:
		return err
	case len(q.Prompt) == 0:
		return missing("prompt")
	case len(q.Prompt) > 1 || q.choices() > 1:
		return badParam("prompt", "Invalid 'prompt': /api/generate continues one text, once.")
	}
	ids, err := s.ids(q.Prompt)
	if err != nil {
		return err
	}
	var usage Usage
	if !q.Stream {
		choices, err := s.run(r.Context(), "prompt", ids, &q.sampling, opts, &usage, nil)
		if err != nil {
			return err
		}
		g := choices[0].done
		return out.json(nativeResponse{s.opts.Name, g.Text, true, g.Reason, usage})
	}
	_, err = s.run(r.Context(), "prompt", ids, &q.sampling, opts, &usage, func(_ int, t runtime.Token) error {
		e := nativeEvent{ID: t.ID, Text: t.Text, Bytes: numbers(s.tok.Piece(t.ID)), Time: t.Time.Nanoseconds()}
		if t.Reason != "" {
			e.Done, e.Reason, e.Usage = true, t.Reason, &usage
		}
		return out.event(e)
	})
	if err != nil {
		return err
	}
	return out.done()
}

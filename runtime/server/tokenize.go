package server

import (
	"net/http"

	"github.com/moeconv/moeconv/runtime/token"
)

// tokenize: {"content": TEXT, "add_special", "parse_special", "with_pieces"}, as llama-server has it.
func (s *Server) tokenize(r *http.Request, out *response) error {
	req := struct {
		Model        string  `json:"model"`
		Content      *string `json:"content"`
		Prompt       *string `json:"prompt"`
		AddSpecial   bool    `json:"add_special"`
		ParseSpecial bool    `json:"parse_special"`
		WithPieces   bool    `json:"with_pieces"`
	}{ParseSpecial: true}
	if err := s.read(r, out, &req); err != nil {
		return err
	}
	if err := s.checkModel(req.Model); err != nil {
		return err
	}
	text := req.Content
	if text == nil {
		text = req.Prompt
	}
	if text == nil {
		return missing("content")
	}
	ids, err := s.tok.Encode(*text, token.Options{AddSpecial: req.AddSpecial, ParseSpecial: req.ParseSpecial})
	if err != nil {
		return badParam("content", "%v", err)
	}
	if !req.WithPieces {
		return out.json(map[string]any{"tokens": ids, "count": len(ids), "max_model_len": s.model.ContextLength()})
	}
	type piece struct {
		ID    int32  `json:"id"`
		Piece string `json:"piece"`
		Bytes []int  `json:"bytes"`
	}
	pieces := make([]piece, len(ids))
	for i, id := range ids {
		pieces[i] = piece{id, string(s.tok.Piece(id)), numbers(s.tok.Piece(id))}
	}
	return out.json(map[string]any{"tokens": pieces, "count": len(ids), "max_model_len": s.model.ContextLength()})
}

// detokenize: {"tokens": [IDS]}.
func (s *Server) detokenize(r *http.Request, out *response) error {
	var req struct {
		Model  string  `json:"model"`
		Tokens []int32 `json:"tokens"`
	}
	if err := s.read(r, out, &req); err != nil {
		return err
	}
	if err := s.checkModel(req.Model); err != nil {
		return err
	}
	if req.Tokens == nil {
		return missing("tokens")
	}
	if err := s.checkIDs("tokens", req.Tokens); err != nil {
		return err
	}
	text := s.tok.Decode(req.Tokens, token.Options{ParseSpecial: true})
	return out.json(map[string]any{"content": text, "prompt": text})
}

func (s *Server) checkIDs(param string, ids []int32) error {
	for _, id := range ids {
		if id < 0 || int(id) >= s.model.VocabSize() {
			return badParam(param, "Token %d is outside of the vocabulary of %d.", id, s.model.VocabSize())
		}
	}
	return nil
}

func missing(param string) *Error {
	return refuse(http.StatusBadRequest, invalidRequest, param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
}

// numbers is data as JSON lists bytes.
func numbers(data []byte) []int {
	out := make([]int, len(data))
	for i, b := range data {
		out[i] = int(b)
	}
	return out
}

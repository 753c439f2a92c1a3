package vocab

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/moeconv/moeconv/gguf/pretoken"
)

// ranks is a vocabulary of byte strings whose order says which are put together first: the lowest.
type ranks struct {
	tokens []string // by rank
	of     map[string]int
}

// parseRanks reads a tiktoken file: a line for each token, its bytes in base64 and its rank.
// Lines that repeat a token are passed over when number is set: then ranks count lines instead of being read.
func parseRanks(data []byte, number bool) (*ranks, error) {
	r := &ranks{of: map[string]int{}}
	for line := 1; len(data) > 0; line++ {
		var text []byte
		text, data, _ = bytes.Cut(data, []byte("\n"))
		fields := bytes.Fields(text)
		if len(fields) == 0 {
			continue
		}
		tok, rank, err := parseRank(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if _, ok := r.of[tok]; ok && number {
			continue
		}
		if number {
			rank = len(r.tokens)
		}
		if err := r.add(tok, rank); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	return r, r.checkBytes()
}

func parseRank(fields [][]byte) (string, int, error) {
	if len(fields) != 2 {
		return "", 0, fmt.Errorf("%.40q is not a token in base64 and its rank", bytes.Join(fields, []byte(" ")))
	}
	tok, err := base64.StdEncoding.DecodeString(string(fields[0]))
	if err != nil {
		return "", 0, fmt.Errorf("%.40q is not base64", fields[0])
	}
	rank, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return "", 0, fmt.Errorf("rank %.40q is not a number", fields[1])
	}
	return string(tok), rank, nil
}

// add takes the token of the next rank.
func (r *ranks) add(tok string, rank int) error {
	if tok == "" {
		return fmt.Errorf("the token of rank %d is empty", rank)
	}
	if rank != len(r.tokens) {
		return fmt.Errorf("rank %d follows %d", rank, len(r.tokens)-1)
	}
	if old, ok := r.of[tok]; ok {
		return fmt.Errorf("ranks %d and %d are both %q", old, rank, tok)
	}
	r.of[tok] = rank
	r.tokens = append(r.tokens, tok)
	return nil
}

// checkBytes wants every byte to be a token.
func (r *ranks) checkBytes() error {
	if len(r.tokens) == 0 {
		return errors.New("there are no tokens")
	}
	for b := range 256 {
		if _, ok := r.of[string([]byte{byte(b)})]; !ok {
			return fmt.Errorf("byte 0x%02x is not a token", b)
		}
	}
	return nil
}

// spelled is the tokens in the byte alphabet.
func (r *ranks) spelled() []string {
	out := make([]string, len(r.tokens))
	for i, tok := range r.tokens {
		out[i] = pretoken.Spell(tok)
	}
	return out
}

// maxToken bounds the length of tokens in bytes: taking one apart costs the square of it.
const maxToken = 1 << 12

// merges is the pairs that make up each token when those of lower rank are put together first.
// A token that does not end up as two is left out; its rank is in lone.
func (r *ranks) merges() (list []string, lone []int, err error) {
	list = make([]string, 0, len(r.tokens))
	var parts []piece
	for rank, tok := range r.tokens {
		if len(tok) == 1 {
			continue
		}
		if len(tok) > maxToken {
			return nil, nil, fmt.Errorf("the token of rank %d has %d bytes", rank, len(tok))
		}
		parts = r.takeApart(tok, rank, parts[:0])
		if len(parts) != 2 {
			lone = append(lone, rank)
			continue
		}
		cut := parts[1].from
		list = append(list, pretoken.Spell(tok[:cut])+" "+pretoken.Spell(tok[cut:]))
	}
	return list, lone, nil
}

// piece is a piece of a token, and the rank it has together with the piece behind it.
type piece struct{ from, rank int }

// none is the rank of what is no token.
const none = int(^uint(0) >> 1)

// takeApart merges tok's bytes by all ranks below limit.
func (r *ranks) takeApart(tok string, limit int, parts []piece) []piece {
	rank := func(from, to int) int {
		if n, ok := r.of[tok[from:to]]; ok && n < limit {
			return n
		}
		return none
	}
	for i := range len(tok) {
		parts = append(parts, piece{i, none})
		if i+2 <= len(tok) {
			parts[i].rank = rank(i, i+2)
		}
	}
	end := func(i int) int { // of piece i
		if i+1 < len(parts) {
			return parts[i+1].from
		}
		return len(tok)
	}
	for {
		best := 0
		for i := range parts {
			if parts[i].rank < parts[best].rank {
				best = i
			}
		}
		if parts[best].rank == none {
			return parts
		}
		parts = append(parts[:best+1], parts[best+2:]...)
		parts[best].rank = none
		if best+1 < len(parts) {
			parts[best].rank = rank(parts[best].from, end(best+1))
		}
		if best > 0 {
			parts[best-1].rank = rank(parts[best-1].from, end(best))
		}
	}
}

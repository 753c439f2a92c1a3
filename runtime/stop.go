package runtime

import "strings"

// stopper gives out a text piece by piece, but nothing that begins one of its stop strings.
type stopper struct {
	stops []string
	held  string
}

// push adds text and returns what cannot belong to a stop string any more. Once stopped is true the text is over:
// the stop string that began first, and what followed it, are gone.
func (s *stopper) push(text string) (out string, stopped bool) {
	s.held += text
	at := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at >= 0 {
		out, s.held = s.held[:at], ""
		return out, true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > keep; n-- {
			if strings.HasSuffix(s.held, stop[:n]) {
				keep = n
			}
		}
	}
	cut := len(s.held) - keep
	out, s.held = s.held[:cut], s.held[cut:]
	return out, false
}

// flush is what was held back when the text ended otherwise.
func (s *stopper) flush() string {
	out := s.held
	s.held = ""
	return out
}

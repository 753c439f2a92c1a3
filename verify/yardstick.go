package verify

import (
	"io"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
)

// Yardstick is the model whose own answers those of a file are held against: the source, or, in a set without one, the
// largest file, which has lost least.
type Yardstick struct {
	Name string // "source", or the file's
	Key  any    // the same for the same model
	Load func() (*runtime.Model, error)
}

// Yardstick is nil where there is none: for a file alone, and for the largest of a set.
func (s *Subject) Yardstick() *Yardstick {
	if s.Reference != nil {
		return &Yardstick{SourceName, s.Reference, s.ReferenceModel}
	}
	c := s.common()
	var own, most peer
	for _, p := range c.peers {
		if p.name == s.Name {
			own = p
		}
		if p.bytes > most.bytes {
			most = p
		}
	}
	if own.name == "" || most.bytes <= own.bytes {
		return nil
	}
	return &Yardstick{most.name, most.name, func() (*runtime.Model, error) { return c.largest.load(s, most) }}
}

// sibling is a file of the set that others are held against, loaded once.
type sibling struct {
	model *runtime.Model
	src   gguf.Source
}

func (b *sibling) load(s *Subject, p peer) (*runtime.Model, error) {
	if b.model != nil {
		return b.model, nil
	}
	src, err := p.open()
	if err != nil {
		return nil, err
	}
	b.src = src
	if b.model, err = s.load(src, runtime.ActivationsIntegers, nil); err != nil {
		b.close()
		return nil, err
	}
	return b.model, nil
}

func (b *sibling) close() {
	if b.model != nil {
		b.model.Close()
	}
	if c, ok := b.src.(io.Closer); ok {
		c.Close()
	}
	b.model, b.src = nil, nil
}

package convert

import (
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// Override sets one key of the metadata after everything else.
type Override struct {
	Key   string
	Value any // as gguf.Metadata stores it
}

// ParseOverride reads KEY=TYPE:VALUE, the types as gguf.ParseValue names them.
func ParseOverride(s string) (Override, error) {
	key, rest, ok := strings.Cut(s, "=")
	typ, text, typed := strings.Cut(rest, ":")
	if !ok || !typed || key == "" {
		return Override{}, fmt.Errorf("convert: override %q: want KEY=TYPE:VALUE, such as general.author=str:me", s)
	}
	v, err := gguf.ParseValue(typ, text)
	if err != nil {
		return Override{}, fmt.Errorf("convert: override of %s: %w", key, err)
	}
	return Override{key, v}, nil
}

// override applies the options' overrides. The contract is checked afterwards, on the result.
func (p *Plan) override(opts Options) error {
	for _, o := range opts.Overrides {
		if o.Key == "general.architecture" || strings.HasPrefix(o.Key, "split.") {
			return fmt.Errorf("convert: override of %s: this key follows from the tensors and cannot be set", o.Key)
		}
		want, _, ok := gguf.TypeOf(o.Value)
		if !ok {
			return fmt.Errorf("convert: override of %s: %T is no value of metadata", o.Key, o.Value)
		}
		if old, exists := p.md.Get(o.Key); exists {
			if have, _, _ := gguf.TypeOf(old); have != want {
				return fmt.Errorf("convert: override of %s: loaders expect a value of type %v, not %v", o.Key, have, want)
			}
		}
		p.md.Set(o.Key, o.Value)
	}
	return nil
}

package vocab

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// form reads a vocabulary that is stored in one way and fills in v. It answers errNoFiles,
// leaving v alone, when the checkpoint has no files of that kind, so that another form can be tried.
type form func(v *Vocab, f *files, opts Options) error

// errNoFiles says that the files of a form are absent, or hold another kind of tokenizer.
var errNoFiles = errors.New("the files of this form are missing")

// forms are the ways vocabularies are stored, by the names Options.Forms uses.
var forms = map[string]form{}

// register adds a form; forms do so from package initialisation, so a clash is a programmer's error.
func register(name string, f form) {
	if forms[name] != nil {
		panic("vocab: form " + name + " registered twice")
	}
	forms[name] = f
}

// Forms lists the names that Options.Forms may hold.
func Forms() []string { return slices.Sorted(maps.Keys(forms)) }

// tryForms takes the first form that has its files; errNoFiles when none has.
func (v *Vocab) tryForms(f *files, opts Options, names ...string) error {
	for _, name := range names {
		read, ok := forms[name]
		if !ok {
			return fmt.Errorf("form %q is not known, %s are", name, strings.Join(Forms(), ", "))
		}
		if err := read(v, f, opts); !errors.Is(err, errNoFiles) {
			return err
		}
	}
	return errNoFiles
}

// noTokenizer says what stands in place of the files that were looked for.
func noTokenizer(fsys fs.FS) error {
	for _, other := range []struct{ glob, what string }{
		{"tokenizer.json", "a tokenizer of this kind"},
		{"tokenizer.model", "SentencePiece"},
		{"tekken.json", "Tekken"},
		{"*.tiktoken", "tiktoken"},
		{"tiktoken.model", "tiktoken"},
		{"vocab.json", "a vocabulary without tokenizer.json"},
	} {
		if names, _ := fs.Glob(fsys, other.glob); len(names) > 0 {
			return unsupported("%s: %s is not supported for this model family", names[0], other.what)
		}
	}
	return errors.New("no tokenizer found (tokenizer.json or tokenizer.model)")
}

package recipes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/moeconv/moeconv/verify/evidence"
)

// Text is a text that a recipe names: a file, or an address and the SHA-256 of what lies there.
type Text struct {
	File   string
	URL    string
	SHA256 string // empty: that of the first download, which the lock file keeps

	local string // where a run has put what lies at the address
}

// fromURL is the form that names an address.
type fromURL struct {
	URL    string `yaml:"url"`
	SHA256 string `yaml:"sha256,omitempty"`
}

// UnmarshalYAML reads either form; unknown keys are errors.
func (t *Text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&t.File)
	}
	const want = "a text is a file, or {url: ..., sha256: ...}"
	var u fromURL
	if n.Kind != yaml.MappingNode {
		return &yaml.TypeError{Errors: []string{want}}
	}
	if err := n.Decode(&u); err != nil {
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; key != "url" && key != "sha256" {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("field %s not found: %s", key, want)}}
		}
	}
	t.URL, t.SHA256 = u.URL, u.SHA256
	return nil
}

// MarshalYAML writes the form that t has.
func (t Text) MarshalYAML() (any, error) {
	if t.URL == "" {
		return t.File, nil
	}
	return fromURL{t.URL, t.SHA256}, nil
}

// named reports whether there is a text.
func (t *Text) named() bool { return t.File+t.URL != "" }

// base is the text's name without its folders.
func (t *Text) base() string {
	if t.URL == "" {
		return filepath.Base(t.File)
	}
	if u, err := url.Parse(t.URL); err == nil {
		if name := path.Base(u.Path); name != "." && name != "/" && name == filepath.Base(name) {
			return name
		}
	}
	return "text"
}

var isSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check says what is wrong with the text of a key.
func (t *Text) check() error {
	u, err := url.Parse(t.URL)
	switch {
	case t.URL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == ""):
		return fmt.Errorf("url %q is not an http or https address", t.URL)
	case t.URL == "" && t.SHA256 != "":
		return fmt.Errorf("sha256 without url")
	case t.SHA256 != "" && !isSHA256.MatchString(t.SHA256):
		return fmt.Errorf("sha256 %q: want 64 hexadecimal digits", t.SHA256)
	}
	return nil
}

// LockedText is a text that came from an address.
type LockedText struct {
	URL    string `yaml:"url" json:"url"`
	Bytes  int64  `yaml:"bytes" json:"bytes"`
	SHA256 string `yaml:"sha256" json:"sha256"`
}

// TextError says that what lies at an address is another text than the recipe, or its lock file, says.
type TextError struct{ URL, Got, Want, Says string }

func (e *TextError) Error() string {
	return fmt.Sprintf("recipes: %s has SHA-256 %s, the %s says %s", e.URL, e.Got, e.Says, e.Want)
}

// Hint tells how to go on.
func (e *TextError) Hint() string {
	if e.Says == "recipe" {
		return "the text has changed: key imatrix.text.sha256 names the one that is meant"
	}
	return "the text has changed since; --update-lock takes it as it is now"
}

// textsDir is where a run keeps texts that it has downloaded, below the outputs.
const textsDir = ".texts"

// read is the text; one at an address is downloaded where it is not beside the outputs yet.
func (j *job) read(ctx context.Context, t *Text) (string, error) {
	if t.URL == "" {
		return ReadText(j.r.path(t.File))
	}
	want, says := t.SHA256, "recipe"
	l, err := j.readLock()
	if err != nil {
		return "", err
	}
	for i := 0; l != nil && want == "" && i < len(l.Texts); i++ {
		if l.Texts[i].URL == t.URL {
			want, says = l.Texts[i].SHA256, "lock"
		}
	}
	local := filepath.Join(j.o.Out, textsDir, t.base())
	data, err := os.ReadFile(local)
	if err != nil || want == "" || sumOf(data) != want {
		c, err := j.client()
		if err != nil {
			return "", err
		}
		if data, err = c.Address(ctx, t.URL, maxText); err != nil {
			return "", err
		}
		if got := sumOf(data); want != "" && got != want {
			return "", &TextError{t.URL, got, want, says}
		}
		if err := evidence.WriteFile(local, data); err != nil {
			return "", err
		}
	}
	if t.local, err = filepath.Abs(local); err != nil { // a recipe's own names are below its folder
		return "", err
	}
	j.texts = append(j.texts, LockedText{t.URL, int64(len(data)), sumOf(data)})
	return string(data), nil
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

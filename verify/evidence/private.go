package evidence

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// secret matches what must not leave the machine: access tokens, folders of a user, addresses of a private network.
var secret = regexp.MustCompile(`\bhf_[A-Za-z0-9]{16,}|(?i:bearer)\s+[A-Za-z0-9._-]{16,}|\bsk-[A-Za-z0-9_-]{20,}` +
	`|/(home|Users)/[A-Za-z0-9._-]+|/root/[A-Za-z0-9._-]+|[A-Z]:(\\\\?)Users(\\\\?)[A-Za-z0-9._-]+` +
	`|\b(10\.\d{1,3}|192\.168|172\.(1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b`)

// Private finds, in a text, tokens, local paths and the names of this machine. Each kind is told once.
func Private(text string) []string {
	var out []string
	if m := secret.FindString(text); m != "" {
		out = append(out, redact(m))
	}
	for _, name := range ownNames() {
		if i := wordIndex(text, name); i >= 0 {
			out = append(out, "the name of this machine or its user's folder")
			break
		}
	}
	return out
}

// redact shows enough of a finding to search for it.
func redact(s string) string {
	if strings.HasPrefix(s, "hf_") || strings.HasPrefix(s, "sk-") {
		return s[:5] + "... (an access token)"
	}
	if strings.EqualFold(s[:min(6, len(s))], "bearer") {
		return "an Authorization header"
	}
	return s
}

// ownNames are this machine's name and its user's folder, and the token in use, as far as they tell something.
func ownNames() []string {
	var out []string
	if h, err := os.Hostname(); err == nil && len(h) >= 4 && h != "localhost" {
		out = append(out, h)
	}
	if h, err := os.UserHomeDir(); err == nil && len(h) > 5 {
		out = append(out, h)
	}
	if t := os.Getenv("HF_TOKEN"); len(t) >= 8 {
		out = append(out, t)
	}
	return out
}

// wordIndex finds name where no letter or digit goes on with it.
func wordIndex(text, name string) int {
	at := 0
	for {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return -1
		}
		i += at
		if (i == 0 || !wordByte(text[i-1])) && (i+len(name) == len(text) || !wordByte(text[i+len(name)])) {
			return i
		}
		at = i + 1
	}
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func private(fsys fs.FS, m *Manifest) []string {
	var out []string
	for _, f := range m.Files {
		if !isText(f.Path) {
			continue
		}
		data, err := readFile(fsys, f.Path)
		if err != nil {
			continue // the hashes' item says so
		}
		for _, p := range Private(string(data)) {
			out = append(out, fmt.Sprintf("%s holds %s", f.Path, p))
		}
	}
	return out
}

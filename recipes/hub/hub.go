// Package hub is a client of the HuggingFace Hub. It reads models: which files a
// repository holds at a revision, and any range of bytes of any of them, as an fs.FS;
// it downloads them into the cache that HuggingFace's own tools use, and it publishes
// files, one commit a set of them. It honours the environment of those tools:
// HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and the
// proxies.
package hub

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// DefaultEndpoint is the Hub where HF_ENDPOINT names no other.
const DefaultEndpoint = "https://huggingface.co"

// DefaultRevision is the branch that is meant where none is named.
const DefaultRevision = "main"

// Repo is a model repository at a revision.
type Repo struct {
	Owner, Name string
	Revision    string // branch, tag or commit
}

// repoName is one part of OWNER/NAME as the Hub allows it.
var repoName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$`)

// ParseRepo reads OWNER/NAME or OWNER/NAME@REVISION; ok is false for anything else.
func ParseRepo(s string) (r Repo, ok bool) {
	id, rev, named := strings.Cut(s, "@")
	if !named {
		rev = DefaultRevision
	}
	owner, name, _ := strings.Cut(id, "/")
	r = Repo{owner, name, rev}
	return r, repoName.MatchString(owner) && repoName.MatchString(name) && validRevision(rev)
}

// validRevision keeps to what git allows in a name, as far as that matters in a URL.
func validRevision(rev string) bool {
	return rev != "" && len(rev) <= 200 && !strings.ContainsAny(rev, " \t\r\n\\?*[~^:\x7f\x00") && !strings.Contains(rev, "..") &&
		!strings.HasPrefix(rev, "/") && !strings.HasPrefix(rev, "-")
}

// ID is OWNER/NAME.
func (r Repo) ID() string { return r.Owner + "/" + r.Name }

// String is OWNER/NAME@REVISION.
func (r Repo) String() string { return r.ID() + "@" + r.Revision }

// Client talks to one Hub. It is safe for concurrent use.
type Client struct {
	Endpoint string            // without a slash at the end
	Token    string            // sent to Endpoint's host alone; empty: none
	Offline  bool              // refuse the network; only the cache is read
	Cache    string            // HuggingFace's cache of repositories: .../hub
	Tries    int               // requests for one thing before giving up
	Patience time.Duration     // the longest wait that the Hub may ask for; 0: a minute
	Note     func(line string) // told of long waits; may be nil

	http, still *http.Client
	pause       func(d time.Duration) <-chan time.Time // time.After, but for tests
	partSize    int64                                  // of one request of a download, in bytes
}

// New makes a client from the environment that getenv reads (os.Getenv). A token file that cannot be read is an error.
func New(getenv func(string) string) (*Client, error) {
	c := &Client{
		Endpoint: strings.TrimRight(getenv("HF_ENDPOINT"), "/"), Offline: truthy(getenv("HF_HUB_OFFLINE")),
		Tries: 5, pause: time.After, partSize: 16 << 20,
	}
	c.http, c.still = newHTTP()
	if c.Endpoint == "" {
		c.Endpoint = DefaultEndpoint
	}
	if !strings.HasPrefix(c.Endpoint, "https://") && !strings.HasPrefix(c.Endpoint, "http://") {
		return nil, fmt.Errorf("hub: HF_ENDPOINT %q is not an http or https address", c.Endpoint)
	}
	home := hubHome(getenv)
	if c.Cache = getenv("HF_HUB_CACHE"); c.Cache == "" && home != "" {
		c.Cache = filepath.Join(home, "hub")
	}
	var err error
	c.Token, err = findToken(getenv, home)
	return c, err
}

// truthy reads a switch as HuggingFace's tools do.
func truthy(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// hubHome is the directory of HuggingFace's tools; empty where there is no home directory either.
func hubHome(getenv func(string) string) string {
	if home := getenv("HF_HOME"); home != "" {
		return home
	}
	if cache := getenv("XDG_CACHE_HOME"); cache != "" {
		return filepath.Join(cache, "huggingface")
	}
	for _, key := range []string{"HOME", "USERPROFILE"} {
		if home := getenv(key); home != "" {
			return filepath.Join(home, ".cache", "huggingface")
		}
	}
	return ""
}

// findToken is the user's token: from the environment, else from the file that `hf auth login` writes.
func findToken(getenv func(string) string, home string) (string, error) {
	for _, key := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if t := strings.TrimSpace(getenv(key)); t != "" {
			return t, checkToken(t, key)
		}
	}
	file := getenv("HF_TOKEN_PATH")
	if file == "" && home != "" {
		file = filepath.Join(home, "token")
	}
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("hub: token file: %w", err)
	}
	t := strings.TrimSpace(string(b))
	return t, checkToken(t, file)
}

// checkToken refuses what cannot go into a header; it never shows the token.
func checkToken(t, from string) error {
	for _, r := range t {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("hub: the token in %s holds a character that no token has", from)
		}
	}
	return nil
}

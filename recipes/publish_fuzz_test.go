package recipes

import (
	"strings"
	"testing"

	"github.com/moeconv/moeconv/recipes/hub"
)

// FuzzCard: no card makes a link that leads out of the repository pass for one within.
func FuzzCard(f *testing.F) {
	f.Add([]byte(shelfCard), "m-Q8_0.gguf")
	f.Add([]byte("---\nlicense: [mit, other]\n---\n[a](<b c> \"t\") <img src='x/../y'>\n[r]: ../z\n"), "a/../../b")
	f.Add([]byte("\xef\xbb\xbf---\n---\n```\n[x](y)\n```\n"), "https://huggingface.co/me/m/blob/main/%2e%2e/x")
	repo := hub.Repo{Owner: "me", Name: "m", Revision: "main"}
	f.Fuzz(func(t *testing.T, data []byte, link string) {
		c, _ := parseCard(data)
		for _, l := range append(c.links, link) {
			target, inside, problem := linkTarget(l, hub.DefaultEndpoint, repo)
			if inside && problem == "" && (target == ".." || strings.HasPrefix(target, "../") || strings.HasPrefix(target, "/")) {
				t.Errorf("%q leads to %q", l, target)
			}
		}
		c.checkLicense(nil, map[string]bool{"mit": true})
		c.checkBase(map[string]bool{"a/b": true})
	})
}

package recipes

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/verify/card"
	"github.com/moeconv/moeconv/verify/evidence"
)

// cardName is the model card, which the Hub shows as the repository's page.
const cardName = "README.md"

// modelCard is a model card as far as publishing looks at it.
type modelCard struct {
	front *card.FrontMatter
	links []string // targets, as written
}

var (
	fencedCode = regexp.MustCompile("(?ms)^ {0,3}(```|~~~).*?^ {0,3}(```|~~~)[ \t]*$")
	inlineCode = regexp.MustCompile("`[^`\n]+`")
	linkForms  = []*regexp.Regexp{
		regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+["'(][^)]*)?\s*\)`),
		regexp.MustCompile(`(?m)^ {0,3}\[[^\]\n]+\]:\s*<?([^\s>]+)`),
		regexp.MustCompile(`(?i)<(?:a|img|source|video)\b[^>]*?\b(?:href|src|srcset)\s*=\s*["']([^"'\s]+)`),
	}
)

// parseCard reads a card; problems name what the Hub would not read as it is meant.
func parseCard(data []byte) (c *modelCard, problems []string) {
	front, body, problems := card.Parse(string(data))
	c = &modelCard{front: front}
	body = inlineCode.ReplaceAllString(fencedCode.ReplaceAllString(body, ""), "")
	for _, form := range linkForms {
		for _, m := range form.FindAllStringSubmatch(body, -1) {
			c.links = append(c.links, m[1])
		}
	}
	return c, problems
}

// findCard is the folder's model card: README.md, or the one that hf2gguf or `moeconv card` has made. Empty: none.
func (f *folder) findCard() string {
	var made []string
	for _, path := range f.others {
		if path == cardName {
			return path
		}
		if strings.HasSuffix(path, CardFile("")) && !strings.Contains(path, "/") {
			made = append(made, path)
		}
	}
	if len(made) != 1 {
		return ""
	}
	return made[0]
}

// audit holds a card that a release's evidence made against that evidence: no number on it may differ. The rules about
// texts are not applied, the words are the publisher's.
func (f *folder) audit(card string, text []byte) (problems []string) {
	stem, made := strings.CutSuffix(card, CardFile(""))
	bundle := filepath.Join(f.dir, BundleName(stem))
	if _, err := os.Stat(filepath.Join(bundle, evidence.ManifestName)); !made || err != nil {
		return nil
	}
	o := evidence.AuditOptions{Card: &evidence.Doc{Name: card, Data: text}}
	for _, l := range evidence.Lints() {
		o.Skip = append(o.Skip, l.Name)
	}
	for _, item := range evidence.Audit(os.DirFS(bundle), o).Items {
		if !item.Pass {
			problems = append(problems, fmt.Sprintf("audit, %s: %s", item.Name, strings.Join(item.Problems, "; ")))
		}
	}
	return problems
}

// checkLicense holds the card's licence against that of the models, which come with the source's, and against what the
// reports know of the source.
func (c *modelCard) checkLicense(sets []*modelSet, known map[string]bool) (problems []string) {
	mine := c.front.License
	if mine == "" {
		problems = append(problems, "the front matter has no license")
	}
	for _, license := range sortedKeys(known) {
		if mine != "" && !strings.EqualFold(license, mine) {
			problems = append(problems, fmt.Sprintf("license %q, but the source's is %q (verify report)", mine, license))
		}
	}
	seen := map[string]bool{}
	for _, m := range sets {
		if m.side || m.license == "" || seen[m.license+"\n"+m.licenseName] {
			continue
		}
		seen[m.license+"\n"+m.licenseName] = true
		if mine != "" && !strings.EqualFold(m.license, mine) {
			problems = append(problems, fmt.Sprintf("license %q, but the source's is %q (general.license of %s)", mine, m.license, m.name()))
		}
		if name := c.front.LicenseName; name != "" && m.licenseName != "" && !strings.EqualFold(name, m.licenseName) {
			problems = append(problems, fmt.Sprintf("license_name %q, but the source's is %q (general.license.name of %s)", name, m.licenseName, m.name()))
		}
	}
	return problems
}

// checkBase holds base_model against the repositories that the checkpoints came from.
func (c *modelCard) checkBase(sources map[string]bool) (problems []string) {
	bases := c.front.BaseModel
	for _, want := range sortedKeys(sources) {
		if len(bases) > 0 && !slices.ContainsFunc(bases, func(b string) bool { return strings.EqualFold(b, want) }) {
			problems = append(problems, fmt.Sprintf("base_model %s, but the files were made from %s", strings.Join(bases, ", "), want))
		}
	}
	return problems
}

// target is where a link leads within the repository. inside is false for links elsewhere; a problem says that the link
// cannot work on the Hub.
func linkTarget(link, endpoint string, repo hub.Repo) (target string, inside bool, problem string) {
	u, err := url.Parse(link)
	if err != nil {
		return "", false, "is no address"
	}
	p := u.Path
	switch {
	case u.Scheme == "" && u.Host == "" && p == "":
		return "", false, "" // an anchor
	case u.Scheme == "mailto":
		return "", false, ""
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return "", false, "is an address that only works here"
	case u.Scheme != "" || u.Host != "" || strings.HasPrefix(p, "/"):
		home, err := url.Parse(endpoint)
		ours := u.Host == "" || u.Host == "huggingface.co" || u.Host == "hf.co" || err == nil && u.Host == home.Host
		rest, found := strings.CutPrefix(p, "/"+repo.ID()+"/")
		if !ours || !found {
			if u.Host == "" && !found {
				return "", false, "leads to a path of this machine or of the Hub itself"
			}
			return "", false, ""
		}
		kind, rest, _ := strings.Cut(rest, "/")
		_, rest, _ = strings.Cut(rest, "/") // the revision
		if !slices.Contains([]string{"blob", "resolve", "tree", "raw"}, kind) {
			return "", false, ""
		}
		p = "./" + rest
	}
	clean := path.Clean(p)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", false, "leads out of the repository"
	}
	return clean, true, ""
}

// checkLinks finds the links to files that will not be there. held says which files stay behind, and why.
func (c *modelCard) checkLinks(endpoint string, repo hub.Repo, tree []string, held map[string]string) (problems []string) {
	seen := map[string]bool{}
	for _, link := range c.links {
		if seen[link] {
			continue
		}
		seen[link] = true
		target, inside, problem := linkTarget(link, endpoint, repo)
		if problem == "" && inside && target != "" && target != "." && !inTree(tree, target) {
			problem = "leads to no file of the repository"
			if why := held[target]; why != "" {
				problem = "leads to a file that stays behind (" + why + ")"
			}
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("the link %s %s", link, problem))
		}
	}
	return problems
}

// checkHeld finds the files that a card speaks of and that stay behind.
func checkHeld(data []byte, held []HeldFile) (problems []string) {
	for _, h := range held {
		if bytes.Contains(data, []byte(path.Base(h.Path))) {
			problems = append(problems, fmt.Sprintf("it names %s, which stays behind (%s)", path.Base(h.Path), h.Reason))
		}
	}
	return problems
}

// inTree says whether a path is a file or a folder of a tree.
func inTree(tree []string, target string) bool {
	return slices.ContainsFunc(tree, func(name string) bool { return name == target || strings.HasPrefix(name, target+"/") })
}

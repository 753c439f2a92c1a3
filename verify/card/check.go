package card

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var link = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)`)

// Facts are what provenance says of a release; a card must agree.
type Facts struct {
	License   string
	BaseModel string   // OWNER/NAME; empty where the checkpoint came from no repository
	Files     []string // below the release: what the card may link to by its path
}

// Check says what is wrong with a card: its YAML, read strictly, its agreement with provenance, its links.
func Check(text string, facts Facts) []string {
	f, _, problems := Parse(text)
	if len(problems) > 0 {
		return problems
	}
	out := f.Validate()
	for _, key := range f.other {
		if !slices.Contains(hubKeys, key) {
			out = append(out, "front matter: there is no key "+key)
		}
	}
	if facts.License != "" && f.License != facts.License {
		out = append(out, fmt.Sprintf("license: the card says %s, the source %s", f.License, facts.License))
	}
	if facts.BaseModel != "" && !slices.Contains(f.BaseModel, facts.BaseModel) {
		out = append(out, fmt.Sprintf("base_model: the card says %s, the source is %s", strings.Join(f.BaseModel, ", "), facts.BaseModel))
	}
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		to := m[1]
		if strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "#") {
			continue
		}
		if path, _, _ := strings.Cut(to, "?"); !slices.Contains(facts.Files, path) {
			out = append(out, "broken link: "+to)
		}
	}
	return out
}

package card

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// required are the sections that a card must have, whatever template wrote it.
var required = []string{"Files", "Limitations", "Attribution"}

var (
	heading = regexp.MustCompile(`(?m)^#{1,4} +(.+?) *$`)
	link    = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)`)
)

// Facts are what provenance says of a release; a card must agree.
type Facts struct {
	License   string
	BaseModel string   // OWNER/NAME; empty where the checkpoint came from no repository
	Files     []string // below the release: what the card may link to by its path
}

// Check says what is wrong with a card: its YAML, its agreement with provenance, its sections and links.
func Check(text string, facts Facts) []string {
	var out []string
	f, err := ParseFrontMatter(text)
	if err != nil {
		return []string{strings.TrimPrefix(err.Error(), "card: ")}
	}
	out = append(out, f.Validate()...)
	if facts.License != "" && f.License != facts.License {
		out = append(out, fmt.Sprintf("license: the card says %s, the source %s", f.License, facts.License))
	}
	if facts.BaseModel != "" && !slices.Contains(f.BaseModel, facts.BaseModel) {
		out = append(out, fmt.Sprintf("base_model: the card says %s, the source is %s", strings.Join(f.BaseModel, ", "), facts.BaseModel))
	}
	var titles []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		titles = append(titles, strings.ToLower(m[1]))
	}
	for _, want := range required {
		if !slices.ContainsFunc(titles, func(t string) bool { return strings.Contains(t, strings.ToLower(want)) }) {
			out = append(out, "no section "+want)
		}
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

package card

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FrontMatter is the YAML block that the Hub reads.
type FrontMatter struct {
	License     string   `yaml:"license" json:"license"` // of several, all, with commas
	LicenseName string   `yaml:"license_name,omitempty" json:"license_name,omitempty"`
	LicenseLink string   `yaml:"license_link,omitempty" json:"license_link,omitempty"`
	BaseModel   []string `yaml:"base_model,omitempty" json:"base_model,omitempty"`
	Relation    string   `yaml:"base_model_relation,omitempty" json:"base_model_relation,omitempty"`
	QuantizedBy string   `yaml:"quantized_by,omitempty" json:"quantized_by,omitempty"`
	Language    []string `yaml:"language,omitempty" json:"language,omitempty"`
	PipelineTag string   `yaml:"pipeline_tag" json:"pipeline_tag"`
	LibraryName string   `yaml:"library_name" json:"library_name"`
	Tags        []string `yaml:"tags" json:"tags"`

	other []string // keys that are none of these
}

// hubKeys are keys of the Hub's that say nothing which a card is held to.
var hubKeys = []string{"datasets", "extra_gated_button_content", "extra_gated_description", "extra_gated_fields", "extra_gated_heading", "extra_gated_prompt",
	"inference", "metrics", "model-index", "model_name", "new_version", "thumbnail", "widget"}

// UnmarshalYAML reads what the Hub reads: the licence may be a list, and base models and languages one text.
func (f *FrontMatter) UnmarshalYAML(n *yaml.Node) error {
	var all map[string]yaml.Node // refuses keys that stand twice
	if err := n.Decode(&all); err != nil {
		return err
	}
	type plain FrontMatter
	known := map[string]bool{}
	for _, t := range reflect.VisibleFields(reflect.TypeFor[FrontMatter]()) {
		name, _, _ := strings.Cut(t.Tag.Get("yaml"), ",")
		known[name] = true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		switch {
		case !known[key]:
			f.other = append(f.other, key)
		case key == "license" && value.Kind == yaml.SequenceNode:
			var list []string
			if err := value.Decode(&list); err != nil {
				return err
			}
			n.Content[i+1] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.Join(list, ",")}
		case (key == "base_model" || key == "language") && value.Kind == yaml.ScalarNode && value.Tag != "!!null":
			n.Content[i+1] = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{value}}
		}
	}
	return n.Decode((*plain)(f))
}

var repoName = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)

// Validate says what the Hub, or a reader, would find wrong.
func (f *FrontMatter) Validate() []string {
	var out []string
	if f.License == "" {
		out = append(out, "no license")
	}
	if f.License == "other" && f.LicenseName == "" {
		out = append(out, "license: other needs license_name")
	}
	if f.LicenseLink != "" && !strings.HasPrefix(f.LicenseLink, "https://") && f.LicenseLink != "LICENSE" {
		out = append(out, "license_link is neither https:// nor LICENSE: "+f.LicenseLink)
	}
	for _, m := range f.BaseModel {
		if !repoName.MatchString(m) {
			out = append(out, "base_model is no OWNER/NAME: "+m)
		}
	}
	if len(f.BaseModel) > 0 && f.Relation != "quantized" {
		out = append(out, "base_model_relation is not quantized")
	}
	if f.PipelineTag == "" {
		out = append(out, "no pipeline_tag")
	}
	if f.LibraryName == "" {
		out = append(out, "no library_name")
	}
	if !slices.Contains(f.Tags, "gguf") {
		out = append(out, "tags lack gguf")
	}
	for i, t := range f.Tags {
		if t == "" || slices.Contains(f.Tags[:i], t) {
			out = append(out, fmt.Sprintf("tag %q is empty or there twice", t))
		}
	}
	return out
}

// block is the front matter as it opens a card.
func (f *FrontMatter) block() (string, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(f); err != nil {
		return "", fmt.Errorf("card: front matter: %w", err)
	}
	return "---\n" + b.String() + "---\n", nil
}

// Parse reads a card: its front matter and the text below. Problems name what the Hub would not read as it is meant.
func Parse(text string) (f *FrontMatter, body string, problems []string) {
	f = &FrontMatter{}
	if rest, ok := strings.CutPrefix(text, "\ufeff"); ok {
		problems = append(problems, "it begins with a byte order mark: the first bytes have to be ---, else the Hub shows the front matter as text")
		text = rest
	}
	rest, ok := strings.CutPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "---\n")
	block, body, closed := strings.Cut(rest, "\n---\n")
	switch {
	case !ok:
		return f, "", append(problems, "no front matter: it has to begin with a line --- and YAML")
	case !closed:
		return f, "", append(problems, "no front matter: its YAML has no closing ---")
	}
	if err := yaml.Unmarshal([]byte(block), f); err != nil {
		problems = append(problems, "the front matter is not valid YAML: "+strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return f, body, problems
}

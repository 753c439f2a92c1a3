package card

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FrontMatter is the YAML block that the Hub reads.
type FrontMatter struct {
	License      string   `yaml:"license" json:"license"`
	LicenseName  string   `yaml:"license_name,omitempty" json:"license_name,omitempty"`
	LicenseLink  string   `yaml:"license_link,omitempty" json:"license_link,omitempty"`
	BaseModel    []string `yaml:"base_model,omitempty" json:"base_model,omitempty"`
	Relation     string   `yaml:"base_model_relation,omitempty" json:"base_model_relation,omitempty"`
	QuantizedBy  string   `yaml:"quantized_by,omitempty" json:"quantized_by,omitempty"`
	Language     []string `yaml:"language,omitempty" json:"language,omitempty"`
	PipelineTag  string   `yaml:"pipeline_tag" json:"pipeline_tag"`
	LibraryName  string   `yaml:"library_name" json:"library_name"`
	Tags         []string `yaml:"tags" json:"tags"`
	ExtraGated   string   `yaml:"extra_gated_prompt,omitempty" json:"extra_gated_prompt,omitempty"`
	Datasets     []string `yaml:"datasets,omitempty" json:"datasets,omitempty"`
	InferenceOff *bool    `yaml:"inference,omitempty" json:"inference,omitempty"`
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

// ParseFrontMatter reads a card's YAML strictly: it begins with the first byte, keys stand once, unknown ones are
// errors.
func ParseFrontMatter(text string) (*FrontMatter, error) {
	block, err := frontBlock(text)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(strings.NewReader(block))
	dec.KnownFields(true)
	var f FrontMatter
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("card: front matter: %w", err)
	}
	return &f, nil
}

func frontBlock(text string) (string, error) {
	rest, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return "", errors.New("card: the first bytes are not ---, so the Hub sees no front matter")
	}
	block, _, ok := strings.Cut(rest, "\n---\n")
	if !ok {
		return "", errors.New("card: the front matter has no closing ---")
	}
	return block + "\n", nil
}

package recipes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/runtime/chat"
	"github.com/moeconv/moeconv/verify/card"
)

// Card is what a recipe says of its model card. What it leaves out comes from the files' metadata, which have it from
// the source's own card.
type Card struct {
	Template    string   `yaml:"template"` // a text/template file; the default one otherwise
	Title       string   `yaml:"title"`
	About       string   `yaml:"about"`
	License     string   `yaml:"license"` // from-source (default), or the identifier that the source states
	LicenseName string   `yaml:"license_name"`
	LicenseLink string   `yaml:"license_link"`
	BaseModel   []string `yaml:"base_model"`
	QuantizedBy string   `yaml:"quantized_by"`
	Language    []string `yaml:"language"`
	PipelineTag string   `yaml:"pipeline_tag"`
	Tags        []string `yaml:"tags"`
	Citation    string   `yaml:"citation"` // BibTeX
}

// attribution credits what the release stands on.
const attribution = "Keeping routed experts in the host's memory (`--cpu-moe`, `--n-cpu-moe`) is a function of llama.cpp, " +
	"by @slaren, pull request #15077, merged in August 2025. The GGUF format and the quantization types are llama.cpp's and ggml's."

// factsDoc is the bundle's facts.json: what is said of a release that is not measured.
type factsDoc struct {
	Front       card.FrontMatter `json:"front_matter"`
	Title       string           `json:"title,omitempty"`
	About       string           `json:"about,omitempty"`
	Repo        string           `json:"repo,omitempty"` // where the release goes
	Source      Source           `json:"source"`
	Prompt      string           `json:"prompt,omitempty"` // the chat template's rendering of one exchange
	Citation    string           `json:"citation,omitempty"`
	Attribution string           `json:"attribution"`
}

// NoLicenseError says that nothing names the model's licence, without which no card can be written.
type NoLicenseError struct{ Name string }

func (e *NoLicenseError) Error() string {
	return fmt.Sprintf("recipes: %s: neither the source nor the recipe names a licence", e.Name)
}

// Hint tells where one can be named.
func (e *NoLicenseError) Hint() string {
	return "key card.license of the recipe, or the front matter of the source's README.md"
}

// facts gathers them from the recipe and the metadata of a file.
func facts(ctx context.Context, f gguf.Source, r *Recipe, rep *Report) (*factsDoc, error) {
	var err error
	md := f.Metadata()
	d := &factsDoc{Title: r.Card.Title, About: r.Card.About, Source: rep.Source, Citation: r.Card.Citation, Attribution: attribution}
	d.Source.Path = "" // of this machine
	if repo, ok := r.PublishRepo(rep.Name); ok {
		d.Repo = repo.ID()
	}
	if d.Front, err = frontMatter(r, rep, f); err != nil {
		return nil, err
	}
	if d.Prompt, err = prompt(ctx, md); err != nil {
		d.Prompt = "" // verify's template check is the place to complain
	}
	return d, nil
}

func frontMatter(r *Recipe, rep *Report, f gguf.Source) (card.FrontMatter, error) {
	md, c := f.Metadata(), r.Card
	own := textKey(md, "general.license")
	front := card.FrontMatter{
		License: own, LicenseName: cmp.Or(c.LicenseName, textKey(md, "general.license.name")), LicenseLink: cmp.Or(c.LicenseLink, textKey(md, "general.license.link")),
		QuantizedBy: cmp.Or(c.QuantizedBy, textKey(md, "general.quantized_by")), PipelineTag: cmp.Or(c.PipelineTag, "text-generation"),
		LibraryName: "llama.cpp", Language: c.Language, BaseModel: c.BaseModel,
	}
	if c.License != "" && c.License != fromSource {
		if own != "" && own != c.License {
			return front, r.errorf("key card.license: %s, but the source says %s", c.License, own)
		}
		front.License = c.License
	}
	if front.License == "" {
		return front, &NoLicenseError{rep.Name}
	}
	if len(front.Language) == 0 {
		front.Language = listKey(md, "general.languages")
	}
	if len(front.BaseModel) == 0 && rep.Source.Repo != "" {
		front.BaseModel = []string{rep.Source.Repo}
	}
	if len(front.BaseModel) > 0 {
		front.Relation = "quantized"
	}
	front.Tags = cardTags(rep, f, c.Tags, front.PipelineTag)
	if bad := front.Validate(); len(bad) > 0 {
		return front, r.errorf("key card: %s", strings.Join(bad, "; "))
	}
	return front, nil
}

// fromSource is the value of card.license that takes what the source states.
const fromSource = "from-source"

func cardTags(rep *Report, f gguf.Source, own []string, pipeline string) []string {
	tags := []string{"gguf", "llama.cpp"}
	if sum, err := expert.Find(f.Metadata(), f.Tensors()); err == nil && sum.Tensors > 0 {
		tags = append(tags, "moe", "mixture-of-experts", "cpu-offload")
	}
	tags = append(tags, rep.Arch)
	tags = append(append(tags, own...), listKey(f.Metadata(), "general.tags")...)
	var out []string
	for _, t := range tags {
		if t != "" && t != pipeline && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// prompt renders one exchange by the file's chat template, empty where it has none.
func prompt(ctx context.Context, md *gguf.Metadata) (string, error) {
	source := textKey(md, "tokenizer.chat_template")
	if source == "" {
		return "", nil
	}
	t, err := chat.Parse(source)
	if err != nil {
		return "", err
	}
	in := chat.Input{AddGenerationPrompt: true, BOS: tokenText(md, "tokenizer.ggml.bos_token_id"), EOS: tokenText(md, "tokenizer.ggml.eos_token_id")}
	var last error
	for _, messages := range []string{
		`[{"role":"system","content":"{system}"},{"role":"user","content":"{prompt}"}]`,
		`[{"role":"user","content":"{prompt}"}]`, // templates that know no system role
	} {
		in.Messages = []byte(messages)
		var text string
		if text, last = t.Render(ctx, in); last == nil {
			return text, nil
		}
	}
	return "", last
}

func tokenText(md *gguf.Metadata, key string) string {
	id, err := md.Int(key)
	if err != nil {
		return ""
	}
	list := listKey(md, "tokenizer.ggml.tokens")
	if id < 0 || id >= int64(len(list)) {
		return ""
	}
	return list[id]
}

func textKey(md *gguf.Metadata, key string) string {
	s, err := gguf.Value[string](md, key)
	if err != nil {
		return ""
	}
	return s
}

func listKey(md *gguf.Metadata, key string) []string {
	list, err := gguf.Value[[]string](md, key)
	if err != nil {
		return nil
	}
	return list
}

// cardTemplate is the recipe's template, or the default one.
func (r *Recipe) cardTemplate() (string, error) {
	if r.Card.Template == "" {
		return card.DefaultTemplate(), nil
	}
	b, err := os.ReadFile(r.path(r.Card.Template))
	if err != nil {
		return "", r.errorf("key card.template: %v", err)
	}
	return string(b), nil
}

func (r *Recipe) checkCard() error {
	if l := r.Card.LicenseLink; l != "" && !strings.HasPrefix(l, "https://") {
		return r.errorf("key card.license_link: %q is no https:// address", l)
	}
	for _, b := range r.Card.BaseModel {
		if !strings.Contains(b, "/") {
			return r.errorf("key card.base_model: %q is no OWNER/NAME", b)
		}
	}
	return nil
}

// missingLicense reports whether err says that nothing names a licence.
func missingLicense(err error) bool {
	var e *NoLicenseError
	return errors.As(err, &e)
}

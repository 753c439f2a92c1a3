// Package recipes holds the recipe format, the embedded recipes and the runner
// that carries a checkpoint through every stage: source check, convert, tag,
// quantize, verify, bench, evidence, card, and publish where that is asked for.
//
// A recipe is strict YAML: an unknown key is an error, so that nothing a
// publisher wrote down is silently left undone.
package recipes

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/moeconv/moeconv/verify/probe"
)

//go:embed *.yaml
var embedded embed.FS

// FormatVersion is the version of the recipe format: the value of the key moeconv.
const FormatVersion = 1

// Recipe states everything a release of one model depends on.
type Recipe struct {
	Version  int                       `yaml:"moeconv"`
	Source   Source                    `yaml:"source"`
	Family   string                    `yaml:"family"`   // auto, or the family the checkpoint must be of
	Name     string                    `yaml:"name"`     // stem of the outputs; empty: the checkpoint's directory name
	Metadata map[string]map[string]any `yaml:"metadata"` // KEY: {type: value}, written after conversion
	Fixes    []map[string]any          `yaml:"fixes"`
	Tag      *bool                     `yaml:"tag"`
	Imatrix  Imatrix                   `yaml:"imatrix"`
	Outputs  Outputs                   `yaml:"outputs"`
	Verify   Verify                    `yaml:"verify"`
	Files    []Other                   `yaml:"files"` // made elsewhere, published as they are
	Bench    Bench                     `yaml:"bench"`
	Card     Card                      `yaml:"card"`
	Disk     string                    `yaml:"disk"` // what the outputs may take on the disk at any time
	Publish  Target                    `yaml:"publish" json:",omitzero"`
	origin   string                    // file or embedded name, for messages and relative paths
}

// Source says where the checkpoint comes from. Exactly one of Repo, Path and Embedded is needed, Path wins.
type Source struct {
	Repo     string `yaml:"repo"`     // OWNER/NAME on the Hub; its directory is given by --model
	Revision string `yaml:"revision"` // recorded in the report
	Path     string `yaml:"path"`
	Embedded string `yaml:"embedded"` // a checkpoint inside of the binary
}

// Outputs says which files are written and how they are named.
type Outputs struct {
	Split   Split    `yaml:"split"`
	Single  string   `yaml:"single"`
	Sharded string   `yaml:"sharded"`
	Types   []string `yaml:"types"`
	Extra   []Extra  `yaml:"extra"`
	// Optional are labels of outputs that may fail their gate without failing the run.
	Optional []string `yaml:"optional"`
	// KeepNative leaves routed experts as they are that the checkpoint has as MXFP4, in every output.
	KeepNative bool `yaml:"keep_native"`
}

// Split bounds the size of one file.
type Split struct {
	MaxSize       string `yaml:"max_size"` // 50G is decimal, 50GiB binary
	MetadataFirst bool   `yaml:"metadata_first"`
}

// Extra is an output that differs from its scheme.
type Extra struct {
	Type           string            `yaml:"type"`
	Label          string            `yaml:"label"`
	TokenEmbedding string            `yaml:"token_embedding"`
	Output         string            `yaml:"output"`
	Mix            string            `yaml:"mix"`     // llama (default) or moe
	Tensors        map[string]string `yaml:"tensors"` // REGEX: type; a rule that matches nothing is an error
}

// Verify says what the gate measures and what it demands.
type Verify struct {
	Text      string          `yaml:"text"`      // a file, or embedded:valid.txt
	Chunks    int             `yaml:"chunks"`    // the first N chunks of the text; 0: all
	Context   int             `yaml:"context"`   // tokens of a chunk, 512 by default
	Reference string          `yaml:"reference"` // source, or none
	Baseline  string          `yaml:"baseline"`  // the source's answers to the text, recorded in a file by this program or llama-perplexity
	Budget    string          `yaml:"budget"`    // 10m: time of each file on random chunks, instead of chunks' number
	Seed      uint64          `yaml:"seed"`      // draws the random chunks
	Probes    probe.Choice    `yaml:"probes"`
	Bands     map[string]Band `yaml:"bands"` // per scheme; the default bands otherwise
}

// Target says where the files go; it is acted on when publishing is asked for.
type Target struct {
	Repo       string `yaml:"repo"`       // OWNER/NAME on the Hub; {name} is the recipe's
	Visibility string `yaml:"visibility"` // of a repository that is created: public (default) or private
	Commit     string `yaml:"commit"`     // per-type: one commit a type, the card last
	OnFailure  string `yaml:"on_failure"` // hold-file (default): the others go; hold-release: none does
}

// Band bounds the figures of one scheme; zero: no bound.
type Band struct {
	KLDWarn  float64 `yaml:"kld_warn"`
	KLDFail  float64 `yaml:"kld_fail"`
	PPLRatio float64 `yaml:"ppl_ratio"` // perplexity against the source's, at most
	Top1     float64 `yaml:"top1"`      // share of positions whose most likely token agrees, at least
}

// Names lists the embedded recipes.
func Names() []string {
	entries, err := embedded.ReadDir(".")
	if err != nil {
		panic(err) // embedded folders can be read
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

// Load finds a recipe: an embedded one by name, or a file.
func Load(name string) (*Recipe, error) {
	origin := name
	if slices.Contains(Names(), name) {
		origin = "recipe " + name
	}
	doc, err := resolve(name, origin, nil)
	if err != nil {
		return nil, err
	}
	return decode(doc, origin)
}

// Default is the recipe of a checkpoint that has none of its own.
func Default() (*Recipe, error) { return Load("default") }

// WithTypes is r with other outputs: the given schemes and nothing else.
func (r *Recipe) WithTypes(types []string) (*Recipe, error) {
	c := *r
	c.Outputs.Types, c.Outputs.Extra = types, nil
	c.Outputs.Optional = slices.DeleteFunc(slices.Clone(r.Outputs.Optional), func(o string) bool {
		return !slices.ContainsFunc(c.Wanted(), func(w Extra) bool { return w.Label == o })
	})
	return &c, c.check()
}

func marshal(r *Recipe) (string, error) {
	b, err := yaml.Marshal(r)
	return string(b), err
}

// Parse reads a recipe that extends nothing; origin names it in messages.
func Parse(data []byte, origin string) (*Recipe, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("recipes: %s: %w", origin, err)
	}
	return decode(doc, origin)
}

// resolve reads a recipe, an embedded one by name or a file, and merges it over the one it extends, which is a file
// beside it or an embedded one: maps merge, lists and scalars replace.
func resolve(name, origin string, seen []string) (map[string]any, error) {
	if slices.Contains(seen, name) {
		return nil, fmt.Errorf("recipes: %s: extends itself by way of %s", origin, strings.Join(seen, ", "))
	}
	read := os.ReadFile
	file := filepath.Clean(name)
	if slices.Contains(Names(), name) {
		read, file = embedded.ReadFile, name+".yaml"
	}
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("recipes: %s: %w", origin, err)
	}
	doc := map[string]any{}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("recipes: %s: %w", origin, err)
	}
	base, ok := doc["extends"]
	if !ok {
		return doc, nil
	}
	delete(doc, "extends")
	parent, ok := base.(string)
	if !ok {
		return nil, fmt.Errorf("recipes: %s: extends: want a file or an embedded recipe", origin)
	}
	next := parent
	if beside := filepath.Join(filepath.Dir(file), parent); !filepath.IsAbs(parent) && (exists(beside) || !slices.Contains(Names(), parent)) {
		next = beside
	}
	under, err := resolve(next, parent, append(seen, name))
	if err != nil {
		return nil, fmt.Errorf("%w (%s extends it)", err, origin)
	}
	return merge(under, doc), nil
}

func merge(under, over map[string]any) map[string]any {
	for k, v := range over {
		a, aok := under[k].(map[string]any)
		b, bok := v.(map[string]any)
		if aok && bok {
			under[k] = merge(a, b)
		} else {
			under[k] = v
		}
	}
	return under
}

func decode(doc map[string]any, origin string) (*Recipe, error) {
	data, err := yaml.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("recipes: %s: %w", origin, err)
	}
	r := &Recipe{origin: origin}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(r); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("recipes: %s: %s", origin, yamlMessage(err))
	}
	return r, r.check()
}

// yamlMessage drops line numbers, which refer to the merged document and would mislead.
func yamlMessage(err error) string {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return err.Error()
	}
	msgs := make([]string, 0, len(te.Errors))
	for _, m := range te.Errors {
		if after, ok := strings.CutPrefix(m, "line "); ok {
			if _, rest, ok := strings.Cut(after, ": "); ok {
				m = rest
			}
		}
		msgs = append(msgs, strings.NewReplacer("in type recipes.", "in ", "Recipe", "recipe").Replace(m))
	}
	return strings.Join(msgs, "; ")
}

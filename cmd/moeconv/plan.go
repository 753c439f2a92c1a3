package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/recipes/hub"
)

func planCmd(a *app) *cobra.Command {
	var (
		flags = sourceFlags{outType: "auto"} // every outtype is shown
		o     planOptions
	)
	cmd := &cobra.Command{
		Use:   "plan OWNER/NAME[@REV] or SRC",
		Short: "Say from headers alone whether a model converts, and how large every scheme is",
		Long: `plan reads config.json, the tokenizer and the headers of the weights, of a repository on
the HuggingFace Hub by byte range or of a checkpoint directory, and says what the model
is, whether it converts, the exact size of every scheme, its shards, and the disk needed.
No weights are downloaded. A checkpoint that would not convert is refused with exit
status 4 and the reason. Sizes are those that convert and quantize write, to the byte;
the tags of hf2gguf and an importance matrix add some keys.

With --vram, --ctx or another flag of placement it says how much of weights, KV cache and
compute buffer would lie on a device and on the host, finds the smallest --n-cpu-moe that
fits, and prints llama.cpp's flags for it. Where nothing fits, the exit status is 3.

The environment is that of HuggingFace's tools: HF_ENDPOINT, HF_TOKEN (or the file that
hf auth login writes), HF_HOME, HF_HUB_CACHE; with HF_HUB_OFFLINE=1 only the cache is read.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(o.parse(), o.place.parse(cmd.Flags())); err != nil {
				return err
			}
			doc, err := a.plan(cmd.Context(), args[0], flags, &o)
			if err != nil {
				return err
			}
			return a.emitPlan(doc)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.pre, "pre", "", "`NAME` of the pre-tokenizer of a checkpoint whose own cannot be told")
	f.StringVar(&o.split, "split-max-size", "50G", "`SIZE` of the shards to count (50G is decimal)")
	o.place.register(f)
	f.StringSliceVar(&o.types, "types", nil, "`SCHEMES` whose disk is added up: Q8_0,Q4_K_M (default: those of hf2gguf)")
	return cmd
}

type planOptions struct {
	split string
	types []string
	place placeOptions

	shardSize int64
	chosen    []string // names of schemes
}

func (o *planOptions) parse() error {
	var err error
	if o.shardSize, err = recipes.ParseSize(o.split); err != nil {
		return usageError{fmt.Errorf("--split-max-size: %w", err)}
	}
	if len(o.types) == 0 {
		r, err := recipes.Default()
		if err != nil {
			return err
		}
		o.types = r.Outputs.Types
	}
	for _, t := range o.types {
		s, err := quantize.ParseScheme(t)
		if err != nil || s.Copy {
			return usageError{fmt.Errorf("--types: %s is no scheme", t)}
		}
		o.chosen = append(o.chosen, s.Name)
	}
	return nil
}

// emitPlan prints the document; where a placement was asked for and none fits, that is a check that failed.
func (a *app) emitPlan(doc *planDoc) error {
	var err error
	if doc.Placement != nil && !doc.Placement.Fits {
		err = withHint(checkError{doc.Source.name() + ": " + doc.Placement.Refused}, "a smaller --ctx, scheme (--type) or cache (--cache-type-k q8_0) needs less")
		doc.Error = &errorDoc{Code: exitCheck, Message: err.Error(), Hint: hintOf(err)}
	}
	return errors.Join(a.emit(doc, doc.print), err)
}

// refusedError says that a checkpoint would not convert. For plan that is the answer asked for, whatever the reason.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// plan makes the document for a repository, a checkpoint directory or a GGUF file.
func (a *app) plan(ctx context.Context, name string, flags sourceFlags, o *planOptions) (*planDoc, error) {
	repo, isRepo := hub.ParseRepo(name)
	if _, err := os.Stat(name); isRepo && errors.Is(err, fs.ErrNotExist) {
		return a.planRepo(ctx, repo, flags, o)
	}
	m, err := a.open(name, flags)
	if err != nil {
		if _, statErr := os.Stat(name); statErr != nil {
			return nil, err
		}
		return nil, refusedError{err}
	}
	defer m.Close()
	doc := &planDoc{envelope: a.envelope(), Source: planSource{Path: name}}
	if m.plan == nil {
		doc.Source.Bytes, doc.Source.Shards = m.file.Size(), len(m.file.Shards())
	} else if err := doc.measure(m.plan, os.DirFS(checkpointDir(name))); err != nil {
		return nil, err
	}
	return doc, doc.fill(m.Source, m.plan, o)
}

// checkpointDir is the directory of a checkpoint given as such or by one of its files.
func checkpointDir(name string) string {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return filepath.Dir(name)
	}
	return name
}

// planHub plans the conversion of a repository, reading settings and headers alone.
func (a *app) planHub(ctx context.Context, repo hub.Repo, flags sourceFlags) (*convert.Plan, *hub.FS, error) {
	client, err := hub.New(os.Getenv)
	if err != nil {
		return nil, nil, err
	}
	files, err := client.Open(ctx, repo)
	if err != nil {
		return nil, nil, err
	}
	opts := flags.options()
	opts.Name = repo.Name
	p, err := convert.NewPlan(files, opts)
	var unsupported *gguf.UnsupportedError
	switch {
	case files.Err() != nil: // the network's own error, which a reader may have passed on as text
		return nil, nil, files.Err()
	case err != nil && ctx.Err() != nil:
		return nil, nil, err
	case errors.As(err, &unsupported):
		return nil, nil, refusedError{err}
	case err != nil && files.Cached(): // it may be the snapshot that lacks something
		return nil, nil, withHint(err, "the cached snapshot may be a part of the repository; unset HF_HUB_OFFLINE to read the Hub")
	case err != nil:
		return nil, nil, refusedError{err}
	}
	a.warn(p)
	return p, files, nil
}

func (a *app) planRepo(ctx context.Context, repo hub.Repo, flags sourceFlags, o *planOptions) (*planDoc, error) {
	p, files, err := a.planHub(ctx, repo, flags)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	doc := &planDoc{envelope: a.envelope(), Source: planSource{Repo: repo.ID(), Revision: repo.Revision, Commit: files.Commit(), Cached: files.Cached(), Gated: files.Gated()}}
	if err := doc.measure(p, files); err != nil {
		return nil, err
	}
	return doc, doc.fill(p, p, o)
}

// measure counts the files a conversion needs.
func (d *planDoc) measure(p *convert.Plan, fsys fs.FS) error {
	d.Class = className(fsys)
	s := &d.Source
	needed := map[string]bool{}
	for _, shard := range p.Shards() {
		needed[shard.Name] = true
		s.Bytes += shard.Size
		s.Shards++
	}
	s.WeightBytes = s.Bytes
	dir, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return err
	}
	for _, e := range dir {
		if e.IsDir() || needed[e.Name()] || !isSetting(e.Name()) {
			continue
		}
		info, err := fs.Stat(fsys, e.Name())
		if err != nil {
			return err
		}
		s.Bytes += info.Size()
	}
	return nil
}

// isSetting says whether a file of a checkpoint may hold configuration or vocabulary.
func isSetting(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".json", ".txt", ".model", ".md", ".jinja", ".jsonl":
		return true
	}
	return false
}

// className is the class config.json names; empty where it cannot be read.
func className(fsys fs.FS) string {
	b, err := fs.ReadFile(fsys, "config.json")
	if err != nil {
		return ""
	}
	c, err := family.ParseConfig(b)
	if err != nil {
		return ""
	}
	class, err := c.Class()
	if err != nil {
		return ""
	}
	return class
}

// schemeSizes predicts the file of every scheme that src can be quantized to.
func schemeSizes(src gguf.Source, shardSize int64) ([]sizeDoc, error) {
	var out []sizeDoc
	for _, s := range quantize.Schemes() {
		if s.Copy || !s.Base.Quantized() {
			continue
		}
		job, err := quantize.New(src, s, quantize.Options{PlanOnly: true})
		if err != nil { // the scheme does not fit the model's shapes; others do
			out = append(out, sizeDoc{Name: s.Name, Refused: err.Error()})
			continue
		}
		doc, err := sizeOf(s.Name, job, shardSize)
		if err != nil {
			return nil, err
		}
		doc.Imatrix = len(job.Assignment().Importance) > 0
		if obstacles := job.Obstacles(); len(obstacles) > 0 && !doc.Imatrix {
			doc.Refused = obstacles[0].Error()
		}
		out = append(out, doc)
	}
	return out, nil
}

// sizeOf is the exact size of src as one file, and of its shards.
func sizeOf(name string, src gguf.Source, shardSize int64) (sizeDoc, error) {
	doc := sizeDoc{Name: name}
	layout, err := gguf.Layout(src.Metadata(), src.Tensors())
	if err != nil {
		return doc, err
	}
	var data, elements int64
	for _, t := range src.Tensors() {
		data += t.Bytes()
		elements += t.Shape.Elements()
	}
	doc.Bytes, doc.Shards = layout.Size, 1
	doc.GiB, doc.GB = float64(layout.Size)/(1<<30), float64(layout.Size)/1e9
	doc.BPW = 8 * float64(data) / float64(max(1, elements))
	parts, err := gguf.Parts("x.gguf", src, gguf.FileOptions{SplitMaxSize: shardSize})
	if err != nil {
		return doc, err
	}
	if doc.Shards = len(parts); doc.Shards > 1 {
		for _, p := range parts {
			doc.Sharded += p.Bytes
		}
	}
	return doc, nil
}

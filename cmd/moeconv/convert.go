package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/verify"
)

// convertFlags are the flags of convert beyond those of every source and output.
type convertFlags struct {
	source    sourceFlags
	output    outputFlags
	name      string
	dry       bool
	vocabOnly bool
	modelName string
	metadata  string
	overrides []string
	families  bool
	ignored   bool
}

func (c *convertFlags) register(f *pflag.FlagSet) {
	c.source.register(f, "auto")
	c.output.register(f)
	f.StringVarP(&c.name, "output", "o", "", "the `FILE` to write; {ftype} and {FTYPE} in its name become the type; a folder: a name is chosen")
	f.StringVar(&c.name, "outfile", "", "the same, as the reference converter spells it")
	f.BoolVar(&c.dry, "dry-run", false, "read headers only and print every tensor, its type, size, role and sources")
	f.BoolVar(&c.vocabOnly, "vocab-only", false, "write metadata and vocabulary; the weights need not be there")
	f.StringVar(&c.modelName, "model-name", "", "`NAME` for general.name")
	f.StringVar(&c.metadata, "metadata", "", "JSON `FILE` of general.* keys that replace what the model card says")
	f.StringArrayVar(&c.overrides, "override", nil, "set `KEY=TYPE:VALUE` in the metadata, repeatable: general.author=str:me")
	f.BoolVar(&c.families, "print-supported-models", false, "print the architectures that convert")
	for _, name := range []string{"no-lazy", "use-temp-file", "verbose"} { // of the reference: how it uses memory and talks
		f.BoolVar(&c.ignored, name, false, "accepted as the reference's; without effect")
		_ = f.MarkHidden(name) // cannot fail: the flag is there
	}
}

func (c *convertFlags) options() (convert.Options, error) {
	o := c.source.options()
	o.ModelName, o.VocabOnly = c.modelName, c.vocabOnly
	if c.metadata != "" {
		b, err := os.ReadFile(c.metadata)
		if err != nil {
			return o, fmt.Errorf("--metadata: %w", err)
		}
		o.Metadata = b
	}
	for _, s := range c.overrides {
		v, err := convert.ParseOverride(s)
		if err != nil {
			return o, usageError{fmt.Errorf("--override: %w", err)}
		}
		o.Overrides = append(o.Overrides, v)
	}
	return o, nil
}

func convertCmd(a *app) *cobra.Command {
	var c convertFlags
	cmd := &cobra.Command{
		Use:   "convert SRC -o FILE",
		Short: "Convert a checkpoint to one GGUF file, byte-identical to the reference converter's",
		Long: `convert reads a checkpoint and writes one GGUF file (or shards). Its bytes equal the
reference converter's, known defects of its metadata included; hf2gguf mends those.

SRC is a checkpoint directory, or its weight files: one .safetensors, or a list of shards
in any order, with config.json and the tokenizer beside them. Only these are read then.
The folder of FILE is created; an existing FILE is refused without --force. A run that was
stopped by whatever it was goes on when the same command is given.`,
		Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.output.splitMaxSize == "0" { // the reference converter's way to say no limit
				c.output.splitMaxSize = ""
			}
			switch {
			case c.families:
				return a.printFamilies()
			case len(args) == 0:
				return withHint(usageError{errors.New("convert needs SRC")}, "usage: "+cmd.UseLine())
			case c.name == "" && !c.dry:
				return usageError{errors.New("convert needs -o FILE")}
			case c.vocabOnly && c.output.splits():
				return usageError{errors.New("a vocabulary alone is not split")}
			}
			return a.convert(cmd, args, &c)
		},
	}
	c.register(cmd.Flags())
	return cmd
}

func (a *app) convert(cmd *cobra.Command, args []string, c *convertFlags) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	p, err := openCheckpoint(args, opts)
	if err != nil {
		return err
	}
	defer p.Close()
	a.warn(p)
	doc := writtenDoc{envelope: a.envelope(), Tensors: len(p.Tensors()), DryRun: c.dry, Bytes: p.Size()}
	for _, q := range p.Quirks() {
		doc.Quirks = append(doc.Quirks, quirkDoc{q.Key, q.What})
		a.diag("note: reproduced a defect of the reference: %s: %s", q.Key, q.What)
	}
	if n, _ := p.Metadata().Int(p.Metadata().ArchKey("expert_count")); n == 0 {
		a.diag("note: this model has no experts: it is dense, and there is nothing to offload by expert")
	}
	name, err := outputName(c.name, p)
	if err != nil {
		return err
	}
	c.output.unpadded = c.vocabOnly
	if c.dry {
		return a.dryRun(doc, name, p, &c.output)
	}
	return a.write(cmd, args, []outputFile{{name: name, src: p}}, nil, c.output, func(files [][]writtenFile) error {
		doc.Files = files[0]
		return a.emit(doc, doc.print)
	})
}

// openCheckpoint plans a directory, or a list of weight files.
func openCheckpoint(args []string, opts convert.Options) (*convert.Plan, error) {
	for _, name := range args {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, withHint(err, "SRC is a checkpoint directory or its .safetensors files; moeconv plan also takes OWNER/NAME of the Hub")
		case err != nil:
			return nil, err
		case info.IsDir() && len(args) == 1:
			return convert.OpenDir(name, opts)
		case info.IsDir():
			return nil, usageError{fmt.Errorf("%s is a directory, which stands alone", name)}
		case !isSafetensors(name):
			return nil, withHint(usageError{fmt.Errorf("%s is neither a directory nor a .safetensors file", name)}, "convert reads checkpoints; quantize reads GGUF files")
		}
	}
	return convert.OpenFiles(args, opts)
}

func isSafetensors(name string) bool { return strings.EqualFold(filepath.Ext(name), ".safetensors") }

// outputName fills in a name's {ftype}; a folder gets the name that the reference converter would choose.
func outputName(name string, p *convert.Plan) (string, error) {
	label := verify.SchemeOf(p.Metadata())
	if info, err := os.Stat(name); name == "" || err == nil && info.IsDir() || strings.HasSuffix(name, string(filepath.Separator)) {
		return filepath.Join(name, p.FileName(label)), nil
	}
	dir, base := filepath.Split(name)
	base, err := convert.FillTemplate(base, label)
	if err != nil {
		return "", usageError{err}
	}
	return dir + base, nil
}

type familiesDoc struct {
	envelope
	Families []familyDoc `json:"families"`
}

type familyDoc struct {
	Arch    string   `json:"architecture"`
	Classes []string `json:"classes"`
	Example string   `json:"example,omitempty"`
}

func (a *app) printFamilies() error {
	doc := familiesDoc{envelope: a.envelope()}
	for _, f := range family.All() {
		doc.Families = append(doc.Families, familyDoc{f.Arch, f.Classes, f.Example})
	}
	return a.emit(doc, func(w io.Writer) error {
		for _, f := range doc.Families {
			if _, err := fmt.Fprintf(w, "%-16s %s\n", f.Arch, strings.Join(f.Classes, ", ")); err != nil {
				return err
			}
		}
		return nil
	})
}

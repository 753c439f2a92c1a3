package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
)

type tagDoc struct {
	envelope
	Files   []writtenFile  `json:"files"`
	Experts expert.Summary `json:"experts"`
}

func tagCmd(a *app) *cobra.Command {
	var (
		output outputFlags
		name   string
	)
	cmd := &cobra.Command{
		Use:   "tag FILE [-o OUT]",
		Short: "Mark expert tensors in the metadata without touching a tensor byte",
		Long: `tag adds the keys moeconv.expert.* to a GGUF file: names, layers, count and bytes
of the routed experts, shared experts apart. It goes by tensor names, so it works on
files of any architecture, and refuses one that has no routed experts.

With -o the whole model is written to OUT, as shards if asked for. Without, FILE is
edited in place as set does it: written anew, read back, compared, renamed; of a set of
shards only the first is.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if sameFile(args[0], name) {
				return usageError{fmt.Errorf("%s is both input and output; without -o it is edited in place", name)}
			}
			src, err := a.open(args[0], sourceFlags{outType: "auto"})
			if err != nil {
				return err
			}
			defer src.Close()
			if name == "" && src.file == nil {
				return usageError{errors.New("a checkpoint directory needs -o OUT")}
			}
			tagged, sum, err := expert.Tag(src.Source)
			if err != nil {
				return err
			}
			doc := tagDoc{envelope: a.envelope(), Experts: sum}
			if name != "" {
				return a.write(cmd, args, []outputFile{{name: name, src: tagged}}, nil, output, func(files [][]writtenFile) error {
					doc.Files = files[0]
					return a.emit(doc, doc.print)
				})
			}
			if doc.Files, err = a.tagInPlace(cmd, src, output); err != nil {
				return err
			}
			return a.emit(doc, doc.print)
		},
	}
	output.register(cmd.Flags())
	cmd.Flags().StringVarP(&name, "output", "o", "", "the `FILE` to write")
	return cmd
}

// tagInPlace marks the experts in the file that holds the metadata.
func (a *app) tagInPlace(cmd *cobra.Command, src *model, output outputFlags) ([]writtenFile, error) {
	if output.splitMaxSize != "" || output.splitMaxTensors > 0 || output.metadataFirst {
		return nil, usageError{errors.New("shards are made with -o OUT")}
	}
	h, err := openHeader(src.file.Shards()[0].Path)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	tagged, _, err := expert.Tag(gguf.WithMetadata(src.Source, h.Metadata()))
	if err != nil {
		return nil, err
	}
	out, err := h.output("", output.force)
	if err != nil {
		return nil, err
	}
	f, err := a.rewrite(cmd, h, tagged.Metadata(), out, output.force)
	return []writtenFile{f}, err
}

func (d *tagDoc) print(w io.Writer) error {
	for _, f := range d.Files {
		if _, err := fmt.Fprintf(w, "%s  %s  %s\n", f.SHA256, f.Path, formatBytes(f.Bytes)); err != nil {
			return err
		}
	}
	s := d.Experts
	_, err := fmt.Fprintf(w, "%d routed expert tensors in %d layers, %d experts, %d used, %s\n",
		len(s.Names), len(s.Layers), s.Count, s.Used, formatBytes(s.Bytes))
	return err
}

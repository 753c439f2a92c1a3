package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
)

type diffDoc struct {
	envelope
	gguf.Difference
}

func diffCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two files' metadata and tensors; exit status 3 when they differ",
		Long: `diff compares two models key by key and tensor by tensor, byte for byte. A and B are
GGUF files of any architecture (any shard of a set stands for the whole) or checkpoint
directories, which stand for the file that convert would write. Another order of
tensors and another division into shards are no difference.`,
		Args: exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			progress, done := a.track("diff", true)
			defer done()
			count := &counter{report: progress}
			var models [2]counted
			for i, name := range args {
				m, err := a.open(name, sourceFlags{outType: "auto"})
				if err != nil {
					return err
				}
				defer m.Close()
				models[i] = counted{m.Source, count}
				for _, t := range m.Tensors() {
					count.total += t.Bytes()
				}
			}
			d, err := gguf.Diff(cmd.Context(), models[0], models[1])
			if err != nil {
				return err
			}
			done()
			doc := diffDoc{a.envelope(), *d}
			if err := a.emit(doc, func(w io.Writer) error { return d.Print(w) }); err != nil {
				return err
			}
			if !d.Same() {
				return checkError{fmt.Sprintf("%s and %s differ", args[0], args[1])}
			}
			return nil
		},
	}
}

// counter sums the bytes read of several sources.
type counter struct {
	read   atomic.Int64
	total  int64
	report func(done, total int64)
}

// counted is a source whose rows are counted as they are read.
type counted struct {
	gguf.Source
	*counter
}

// Units keeps the granularity of the source beneath.
func (c counted) Units(tensor int) int { return gguf.Units(c.Source, tensor) }

func (c counted) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := c.Source.ReadRows(ctx, tensor, row, n, dst); err != nil {
		return err
	}
	c.report(c.read.Add(int64(len(dst))), c.total)
	return nil
}

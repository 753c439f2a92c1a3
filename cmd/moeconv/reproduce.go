package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/verify/evidence"
)

type reproduceDoc struct {
	envelope
	*evidence.Comparison
}

func reproduceCmd(a *app) *cobra.Command {
	var (
		o   recipes.Options
		out string
	)
	cmd := &cobra.Command{
		Use:   "reproduce BUNDLE or DIR",
		Short: "Make a release again from its bundle and compare it claim by claim; exit status 3 on a deviation",
		Long: `reproduce runs the recipe of a bundle again and holds each claim against the new run's
evidence: hashes and sizes must be equal, figures within what float arithmetic of another
machine may change. --model DIR names the checkpoint where it does not travel inside the binary;
its files are compared with the hashes on record first.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bundle, _, err := findBundle(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				if out, err = os.MkdirTemp("", "moeconv-reproduce-"); err != nil {
					return err
				}
				defer os.RemoveAll(out)
			}
			o.Out, o.Observer, o.Tool = out, observer{a}, tool()
			c, err := recipes.Reproduce(cmd.Context(), bundle, o)
			if err != nil {
				return err
			}
			if err := a.emit(reproduceDoc{a.envelope(), c}, func(w io.Writer) error { return c.Print(w) }); err != nil {
				return err
			}
			if !c.Same {
				return checkError{fmt.Sprintf("%s: %d deviations", filepath.Base(bundle), c.Deviations)}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Model, "model", "", "the checkpoint's `DIR`")
	f.StringVar(&out, "out", "", "`DIR` that keeps the files made again (default: a temporary one)")
	f.IntVar(&o.Threads, "threads", 0, "number of threads (default: all cores)")
	return cmd
}

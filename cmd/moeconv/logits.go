package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/runtime"
)

type logitsDoc struct {
	envelope
	Logits [][]float32 `json:"logits"`
}

func logitsCmd(a *app) *cobra.Command {
	var (
		src  sourceFlags
		run  runFlags
		list string
		all  bool
	)
	cmd := &cobra.Command{
		Use:   "logits SRC --tokens 1,2,3",
		Short: "Print the logits of the last position, or of all",
		Long: `logits evaluates token ids and prints f32 logits, one row a position. The KV cache is f32
unless told otherwise, and so are activations, but for those of a file with quantized
weights, which llama.cpp rounds: its own logits are printed then, and with --activations f32
those without that rounding. The context, by which some models choose between two sets of rotary
frequencies, is as long as the tokens, 512 at least.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := parseIDs(list)
			if err != nil {
				return err
			}
			if run.context == 0 {
				run.context = max(512, len(ids))
			}
			m, done, err := a.load(args[0], src, run, cmd)
			if err != nil {
				return err
			}
			defer done()
			want := runtime.WantLast
			if all {
				want = runtime.WantAll
			}
			out, err := m.NewSession().Eval(cmd.Context(), ids, want)
			if err != nil {
				return err
			}
			doc := logitsDoc{a.envelope(), out.Logits}
			return a.emit(doc, func(w io.Writer) error { return printRows(w, out.Logits) })
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "auto", "f32")
	cmd.Flags().StringVar(&list, "tokens", "", "token `IDS`: 1,2,3")
	cmd.Flags().BoolVar(&all, "all", false, "print every position")
	return cmd
}

func printRows(w io.Writer, rows [][]float32) error {
	for _, row := range rows {
		for i, v := range row {
			sep := " "
			if i == len(row)-1 {
				sep = "\n"
			}
			if _, err := io.WriteString(w, strconv.FormatFloat(float64(v), 'g', -1, 32)+sep); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseIDs(list string) ([]int32, error) {
	var ids []int32
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return nil, usageError{fmt.Errorf("token id %q is not a number", s)}
		}
		ids = append(ids, int32(n))
	}
	if len(ids) == 0 {
		return nil, usageError{fmt.Errorf("no token ids")}
	}
	return ids, nil
}

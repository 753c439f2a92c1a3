package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/runtime/token"
)

type tokenizeDoc struct {
	envelope
	IDs    []int32  `json:"ids"`
	Tokens []string `json:"tokens"`
}

func tokenizeCmd(a *app) *cobra.Command {
	var (
		flags   sourceFlags
		opts    token.Options
		decoded string
	)
	cmd := &cobra.Command{
		Use:   "tokenize SRC TEXT",
		Short: "Print the ids of a text, or with --decode the text of ids",
		Args:  usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) == (decoded != "") {
				return usageError{fmt.Errorf("tokenize needs TEXT or --decode IDS, not both")}
			}
			src, err := a.open(args[0], flags)
			if err != nil {
				return err
			}
			defer src.Close()
			tok, err := token.New(src.Metadata())
			if err != nil {
				return err
			}
			if decoded != "" {
				return a.decode(tok, decoded)
			}
			ids, err := tok.Encode(args[1], opts)
			if err != nil {
				return err
			}
			doc := tokenizeDoc{envelope: a.envelope(), IDs: ids, Tokens: make([]string, len(ids))}
			if doc.IDs == nil {
				doc.IDs = []int32{}
			}
			for i, id := range ids {
				doc.Tokens[i] = string(tok.Piece(id))
			}
			return a.emit(doc, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(ids)), ","), "[]"))
				return err
			})
		},
	}
	flags.register(cmd.Flags(), "auto")
	cmd.Flags().BoolVar(&opts.ParseSpecial, "special", false, "recognise special tokens in TEXT")
	cmd.Flags().BoolVar(&opts.AddSpecial, "bos", false, "add BOS and EOS as the model's metadata says")
	cmd.Flags().StringVar(&decoded, "decode", "", "print the text of these `IDS` (1,2,3) instead")
	return cmd
}

type decodeDoc struct {
	envelope
	Text string `json:"text"`
}

func (a *app) decode(tok *token.Tokenizer, list string) error {
	ids, err := parseIDs(list)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if int(id) < 0 || int(id) >= tok.Size() {
			return fmt.Errorf("id %d is outside of the vocabulary of %d", id, tok.Size())
		}
	}
	doc := decodeDoc{a.envelope(), tok.Decode(ids, token.Options{ParseSpecial: true})}
	return a.emit(doc, func(w io.Writer) error {
		_, err := io.WriteString(w, doc.Text)
		return err
	})
}

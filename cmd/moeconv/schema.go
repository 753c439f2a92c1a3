package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/bench"
	"github.com/moeconv/moeconv/verify/evidence"
)

// schemas are the JSON Schemas of verbs' documents.
var schemas = map[string][]byte{
	"audit":    evidence.Schema,
	"bench":    []byte(bench.Schema),
	"evidence": evidence.BundleSchema,
	"verify":   verify.Schema,
}

func schemaCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema VERB",
		Short: "Print the JSON Schema of a verb's --json",
		Long: `schema prints the JSON Schema of what VERB prints with --json. Within a schema's number
keys are only added.`,
		Args: exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s, ok := schemas[args[0]]
			if !ok {
				return &gguf.UnsupportedError{Msg: fmt.Sprintf("schema: there is none for %q, only for %s",
					args[0], strings.Join(slices.Sorted(maps.Keys(schemas)), ", "))}
			}
			a.emitted = true
			_, err := a.stdout.Write(s)
			return err
		},
	}
}

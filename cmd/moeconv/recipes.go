package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes"
)

type recipesDoc struct {
	envelope
	Recipes []string `json:"recipes"`
}

func recipesCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recipes",
		Short: "List the embedded recipes, or show one",
		Args:  exactArgs(0),
		RunE: func(*cobra.Command, []string) error {
			doc := recipesDoc{a.envelope(), recipes.Names()}
			return a.emit(doc, func(w io.Writer) error {
				for _, n := range doc.Recipes {
					if _, err := fmt.Fprintln(w, n); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.AddCommand(recipesShowCmd(a), recipesCheckCmd(a))
	return cmd
}

type recipeDoc struct {
	envelope
	Recipe *recipes.Recipe `json:"recipe"`
}

func recipesShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show RECIPE",
		Short: "Print a recipe with everything it extends merged and defaults filled in",
		Args:  exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := recipes.Load(args[0])
			if err != nil {
				return err
			}
			return a.emit(recipeDoc{a.envelope(), r}, r.Print)
		},
	}
}

func recipesCheckCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a recipe file",
		Args:  exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := recipes.Load(args[0])
			if err != nil {
				return err
			}
			return a.emit(recipeDoc{a.envelope(), r}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: ok, %d outputs\n", args[0], len(r.Wanted()))
				return err
			})
		},
	}
}

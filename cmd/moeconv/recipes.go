package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/recipes/hub"
)

type recipesDoc struct {
	envelope
	Recipes []string `json:"recipes"`
}

func recipesCmd(a *app) *cobra.Command {
	list := func(*cobra.Command, []string) error {
		doc := recipesDoc{a.envelope(), recipes.Names()}
		return a.emit(doc, func(w io.Writer) error {
			for _, n := range doc.Recipes {
				if _, err := fmt.Fprintln(w, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	cmd := &cobra.Command{Use: "recipes", Short: "List the embedded recipes, show, check or write one", Args: exactArgs(0), RunE: list}
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "List the embedded recipes", Args: exactArgs(0), RunE: list},
		recipesShowCmd(a), recipesCheckCmd(a), recipesNewCmd(a))
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

type newRecipeDoc struct {
	envelope
	Recipe string `json:"recipe"` // YAML
}

func recipesNewCmd(a *app) *cobra.Command {
	var pre string
	cmd := &cobra.Command{
		Use:   "new OWNER/NAME or DIR",
		Short: "Write a recipe for a checkpoint, from its headers alone",
		Long: `new prints a recipe: moeconv recipes new Qwen/Qwen3-30B-A3B > x.yaml. The family, the
revision's commit, the licence and what the reference's conversion would write wrongly come
from the checkpoint, of which only settings and headers are read.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.newRecipe(cmd.Context(), args[0], sourceFlags{outType: "auto", pre: pre})
			if err != nil {
				return err
			}
			return a.emit(newRecipeDoc{a.envelope(), text}, func(w io.Writer) error {
				_, err := io.WriteString(w, text)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&pre, "pre", "", "`NAME` of the pre-tokenizer if it cannot be told")
	return cmd
}

func (a *app) newRecipe(ctx context.Context, name string, flags sourceFlags) (string, error) {
	repo, isRepo := hub.ParseRepo(name)
	if _, err := os.Stat(name); !isRepo || err == nil {
		m, err := a.open(name, flags)
		if err != nil {
			return "", err
		}
		defer m.Close()
		if m.plan == nil {
			return "", usageError{fmt.Errorf("%s is no checkpoint", name)}
		}
		dir, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		return recipes.New(m.plan, "", "", dir)
	}
	p, files, err := a.planHub(ctx, repo, flags)
	if err != nil {
		return "", err
	}
	defer p.Close()
	return recipes.New(p, repo.ID(), files.Commit(), "")
}

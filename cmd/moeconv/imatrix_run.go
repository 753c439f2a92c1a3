package main

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/runtime"
)

// gathering is a run of imatrix.
type gathering struct {
	*app
	*recipes.Gathering
	flags *imatrixFlags
}

func (a *app) newGathering(f *imatrixFlags, m *runtime.Model, sums *imatrix.Sums) *gathering {
	return &gathering{a, &recipes.Gathering{Model: m, Sums: sums, NoScore: f.noPPL, Output: f.output, Dataset: filepath.Base(f.file), Process: f.out,
		Every: f.every, Copies: f.copies, Force: f.force, Note: func(line string) { a.diag("note: %s", line) }}, f}
}

// run gathers over the text, from where an interrupted run of the same command was.
func (g *gathering) run(cmd *cobra.Command, args []string) error {
	f := g.flags
	text, err := recipes.ReadText(f.file)
	if err != nil {
		return err
	}
	c, err := g.Model.Calibration(text, runtime.CalibrationOptions{ChunkSize: f.run.context, From: f.from, Chunks: f.chunks, ParseSpecial: f.special})
	if err != nil {
		return err
	}
	if g.Job, err = g.identify(cmd, args, text); err != nil {
		return err
	}
	progress, end := g.track("imatrix", false)
	defer end()
	g.Progress = progress
	return g.Run(cmd.Context(), c)
}

// identify says what the state belongs to: what is read, and the flags that matter.
func (g *gathering) identify(cmd *cobra.Command, args []string, text string) (string, error) {
	lines, err := fingerprint(args)
	if err != nil {
		return "", err
	}
	for _, name := range g.flags.inFiles {
		hash, err := hashOf(name)
		if err != nil {
			return "", err
		}
		lines = append(lines, hash)
	}
	for _, key := range flagKey(cmd.Flags()) {
		switch name, _, _ := strings.Cut(key, " "); name {
		case "--file", "--in-file", "--output-frequency", "--save-frequency", "--min-coverage":
		default:
			lines = append(lines, key)
		}
	}
	lines = append(lines, text)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n")))), nil
}

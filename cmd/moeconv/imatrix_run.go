package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/runtime"
)

// saveInterval is how long work goes on at most without the state being saved after a chunk.
const saveInterval = time.Minute

// gathering is a run of imatrix.
type gathering struct {
	*app
	flags *imatrixFlags
	model *runtime.Model
	sums  *imatrix.Sums
	score runtime.CalibrationScore
	job   string // identifies text, model and flags
	done  int    // chunks
	saved time.Time
}

// Keys of the state that an interrupted run leaves.
const (
	jobKey    = "moeconv.imatrix.job"
	doneKey   = "moeconv.imatrix.done"
	scoredKey = "moeconv.imatrix.scored"
	nllKey    = "moeconv.imatrix.nll"
	nll2Key   = "moeconv.imatrix.nll2"
)

func (g *gathering) state() string { return g.flags.output + ".part" }

// run gathers over the text, from where an interrupted run of the same command was.
func (g *gathering) run(cmd *cobra.Command, args []string) error {
	f := g.flags
	text, err := recipes.ReadText(f.file)
	if err != nil {
		return err
	}
	c, err := g.model.Calibration(text, runtime.CalibrationOptions{ChunkSize: f.run.context, From: f.from, Chunks: f.chunks, ParseSpecial: f.special})
	if err != nil {
		return err
	}
	score := &g.score
	if f.noPPL {
		score = nil
	}
	progress, end := g.track("imatrix", false)
	defer end()
	if g.model.Layered() {
		g.begin()
		g.done = len(c.Chunks)
		return g.model.CalibrateLayers(cmd.Context(), c, g.sums, score, progress)
	}
	if err := g.identify(cmd, args, text); err != nil {
		return err
	}
	if err := g.resume(); err != nil {
		return err
	}
	g.begin()
	for g.saved = time.Now(); g.done < len(c.Chunks); {
		if err := cmd.Context().Err(); err != nil {
			return errors.Join(err, g.save())
		}
		if err := g.model.Calibrate(cmd.Context(), c, g.done, g.sums, score); err != nil {
			return err
		}
		g.done++
		if err := g.keep(); err != nil {
			return err
		}
		progress(int64(g.done), int64(len(c.Chunks)))
	}
	return nil
}

// begin readies the sums.
func (g *gathering) begin() {
	if g.done == 0 {
		g.sums.Datasets = append(g.sums.Datasets, filepath.Base(g.flags.file))
	}
	g.sums.Output = g.flags.out
}

// identify says what the state belongs to: what is read, and the flags that matter.
func (g *gathering) identify(cmd *cobra.Command, args []string, text string) error {
	lines, err := fingerprint(args)
	if err != nil {
		return err
	}
	for _, name := range g.flags.inFiles {
		hash, err := hashOf(name)
		if err != nil {
			return err
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
	g.job = fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n"))))
	return nil
}

// resume takes up the state that is there; one of another job is an error without --force.
func (g *gathering) resume() error {
	if g.flags.force {
		return g.forget()
	}
	file, err := gguf.Open(g.state())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return withHint(err, "--force starts afresh")
	}
	defer file.Close()
	md := file.Metadata()
	if job, err := gguf.Value[string](md, jobKey); err != nil || job != g.job {
		return withHint(fmt.Errorf("%s was left by another model, text or other flags", g.state()), "--force starts afresh")
	}
	if g.sums, err = imatrix.ReadSums(file); err != nil {
		return fmt.Errorf("%s: %w", g.state(), err)
	}
	done, err1 := md.Int(doneKey)
	scored, err2 := md.Int(scoredKey)
	sum, err3 := gguf.Value[float64](md, nllKey)
	square, err4 := gguf.Value[float64](md, nll2Key)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("%s: %w", g.state(), err)
	}
	g.done = int(done)
	g.score = runtime.CalibrationScore{Scored: int(scored), Sum: sum, SumSquare: square}
	g.diag("note: %s: going on after chunk %d", g.state(), done)
	return nil
}

// keep saves the state and copies of the matrix where they are due.
func (g *gathering) keep() error {
	if n := g.flags.copies; n > 0 && g.done%n == 0 {
		if err := g.sums.WriteFile(context.Background(), fmt.Sprintf("%s.at_%d", g.flags.output, g.done), nil); err != nil {
			return err
		}
	}
	if g.done%g.flags.every == 0 || time.Since(g.saved) > saveInterval {
		return g.save()
	}
	return nil
}

// save writes the state; it does not mind an interruption.
func (g *gathering) save() error {
	g.saved = time.Now()
	if g.done == 0 {
		return nil
	}
	return g.sums.WriteFile(context.Background(), g.state(), func(md *gguf.Metadata) {
		md.Set(jobKey, g.job)
		md.Set(doneKey, uint64(g.done))
		md.Set(scoredKey, uint64(g.score.Scored))
		md.Set(nllKey, g.score.Sum)
		md.Set(nll2Key, g.score.SumSquare)
	})
}

// forget removes the state.
func (g *gathering) forget() error {
	if err := os.Remove(g.state()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

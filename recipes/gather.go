package recipes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime"
)

// saveInterval is how long a matrix is gathered at most without the state being saved after a chunk.
const saveInterval = time.Minute

// Gathering runs a text through a model for an importance matrix. After an interruption an equal Gathering goes on from
// its state file, to the same bytes.
type Gathering struct {
	Model    *runtime.Model
	Sums     *imatrix.Sums // with what is to be added to; after Run the result
	Score    runtime.CalibrationScore
	NoScore  bool
	Job      string // identifies text, model and options
	Output   string // the matrix; the state lies in OUTPUT.part
	Dataset  string // the text's name
	Process  bool   // the output tensor, too
	Every    int    // chunks between two states
	Copies   int    // chunks between two copies of the matrix, 0: none
	Force    bool   // whatever state is there, start afresh
	Progress func(done, total int64)
	Note     func(line string)

	done  int // chunks
	saved time.Time
}

// Done is the number of chunks that were run, by this run and those before it.
func (g *Gathering) Done() int { return g.done }

// Keys of the state that an interrupted run leaves.
const (
	jobKey    = "moeconv.imatrix.job"
	doneKey   = "moeconv.imatrix.done"
	scoredKey = "moeconv.imatrix.scored"
	nllKey    = "moeconv.imatrix.nll"
	nll2Key   = "moeconv.imatrix.nll2"
)

func (g *Gathering) state() string { return g.Output + ".part" }

// Run gathers over the chunks. A model that is read block by block sees all of them at once, and leaves no state.
func (g *Gathering) Run(ctx context.Context, c *runtime.Calibration) error {
	score := &g.Score
	if g.NoScore {
		score = nil
	}
	if g.Model.Layered() {
		g.begin()
		g.done, g.Job = len(c.Chunks), ""
		return g.Model.CalibrateLayers(ctx, c, g.Sums, score, g.Progress)
	}
	if err := g.resume(); err != nil {
		return err
	}
	g.begin()
	for g.saved = time.Now(); g.done < len(c.Chunks); {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, g.save())
		}
		if err := g.Model.Calibrate(ctx, c, g.done, g.Sums, score); err != nil {
			return err
		}
		g.done++
		if err := g.keep(); err != nil {
			return err
		}
		g.Progress(int64(g.done), int64(len(c.Chunks)))
	}
	return nil
}

// begin readies the sums.
func (g *Gathering) begin() {
	if g.done == 0 {
		g.Sums.Datasets = append(g.Sums.Datasets, g.Dataset)
	}
	g.Sums.Output = g.Process
}

// stateError is a state that cannot be taken up.
type stateError struct{ error }

func (e *stateError) Unwrap() error { return e.error }

// Hint tells how to go on.
func (e *stateError) Hint() string { return "--force starts afresh" }

// resume takes up the state that is there; one of another job is an error without Force.
func (g *Gathering) resume() error {
	if g.Force {
		return g.forget()
	}
	file, err := gguf.Open(g.state())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &stateError{err}
	}
	defer file.Close()
	md := file.Metadata()
	if job, err := gguf.Value[string](md, jobKey); err != nil || job != g.Job {
		return &stateError{fmt.Errorf("%s was left by another model, text or other flags", g.state())}
	}
	if g.Sums, err = imatrix.ReadSums(file); err != nil {
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
	g.Score = runtime.CalibrationScore{Scored: int(scored), Sum: sum, SumSquare: square}
	g.Note(fmt.Sprintf("%s: going on after chunk %d", g.state(), done))
	return nil
}

// keep saves the state and copies of the matrix where they are due.
func (g *Gathering) keep() error {
	if n := g.Copies; n > 0 && g.done%n == 0 {
		if err := g.Sums.WriteFile(context.Background(), fmt.Sprintf("%s.at_%d", g.Output, g.done), nil); err != nil {
			return err
		}
	}
	if g.done%g.Every == 0 || time.Since(g.saved) > saveInterval {
		return g.save()
	}
	return nil
}

// save writes the state; it does not mind an interruption.
func (g *Gathering) save() error {
	g.saved = time.Now()
	if g.done == 0 {
		return nil
	}
	return g.Sums.WriteFile(context.Background(), g.state(), func(md *gguf.Metadata) {
		md.Set(jobKey, g.Job)
		md.Set(doneKey, uint64(g.done))
		md.Set(scoredKey, uint64(g.Score.Scored))
		md.Set(nllKey, g.Score.Sum)
		md.Set(nll2Key, g.Score.SumSquare)
	})
}

// Conclude writes the matrix; the state is not needed any more then.
func (g *Gathering) Conclude(ctx context.Context) error {
	if err := g.Sums.WriteFile(ctx, g.Output, nil); err != nil {
		return err
	}
	if g.Job == "" {
		return nil
	}
	return g.forget()
}

// forget removes the state.
func (g *Gathering) forget() error {
	if err := os.Remove(g.state()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

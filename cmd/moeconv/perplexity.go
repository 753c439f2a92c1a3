package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/verify"
)

type perplexityDoc struct {
	envelope
	PPL      float64          `json:"ppl"`
	Error    float64          `json:"ppl_error"`
	Interval verify.Interval  `json:"ppl_interval"` // 95%
	Tokens   int              `json:"tokens"`
	Chunks   int              `json:"chunks"`
	Of       int              `json:"of_chunks"` // of the text
	Seed     *uint64          `json:"seed,omitempty"`
	Scored   int              `json:"scored_tokens"`
	KLD      *kldDoc          `json:"kld,omitempty"`
	SameTop  *float64         `json:"same_top_p,omitempty"`
	Agree    *verify.Interval `json:"same_top_interval,omitempty"`
	Saved    string           `json:"saved_base,omitempty"`
}

type kldDoc struct {
	Mean     float64         `json:"mean"`
	Error    float64         `json:"error"`
	Interval verify.Interval `json:"interval"` // 95%, of the mean
	Median   float64         `json:"median"`
	P99      float64         `json:"p99"`
	P999     float64         `json:"p999"`
	Max      float64         `json:"max"`
}

// perplexityFlags are what perplexity is told.
type perplexityFlags struct {
	src        sourceFlags
	run        runFlags
	file, base string
	save       string
	klBase     string
	kl         bool
	compact    bool
	chunks     int
	budget     time.Duration
	seed       uint64
}

func perplexityCmd(a *app) *cobra.Command {
	var p perplexityFlags
	cmd := &cobra.Command{
		Use:   "perplexity SRC -f TEXT",
		Short: "Perplexity as llama-perplexity defines it, with --base KL divergence too",
		Long: `perplexity scores a text in chunks of --ctx tokens, the second half of each, with the
16-bit KV cache and the rounding of llama-perplexity (--kv and --activations f32: without). With
--base it also compares the probabilities with a base's (KL divergence, share of positions
with the same most likely token): a model's, or those that were recorded of one in a file,
by --save-base or by llama-perplexity --kl-divergence-base. --save-base writes
llama-perplexity's form; with --compact the likeliest tokens and a sample of the others,
a fiftieth of that or less, which goes on where it was interrupted. llama-perplexity's names
work too: --kl-divergence-base FILE writes a base, with --kl-divergence it is what SRC is
compared with. --budget scores random chunks for as long, and prints how far the figures may
be from those of the whole text.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.measure(cmd, a, args[0]) },
	}
	f := cmd.Flags()
	p.src.register(f, "auto")
	p.run.register(f, "integers", "f16")
	p.run.layers.register(f)
	f.StringVarP(&p.file, "file", "f", "", "the text `FILE`; not needed where --base is a recorded one")
	f.StringVar(&p.base, "base", "", "compare with this `SRC` or recorded base")
	f.StringVar(&p.save, "save-base", "", "record SRC's own answers, as a base, in `FILE`")
	f.StringVar(&p.klBase, "kl-divergence-base", "", "as llama-perplexity has it: --save-base `FILE`, with --kl-divergence --base FILE")
	f.StringVar(&p.klBase, "save-all-logits", "", "the same")
	f.BoolVar(&p.kl, "kl-divergence", false, "compare with the file of --kl-divergence-base")
	f.BoolVar(&p.compact, "compact", false, "with --save-base: likely tokens and a sample of the others only")
	f.IntVar(&p.chunks, "chunks", 0, "score the first `N` chunks only")
	f.DurationVar(&p.budget, "budget", 0, "score random chunks for this `TIME` (10m)")
	f.Uint64Var(&p.seed, "seed", 0, "seed that draws the random chunks")
	return cmd
}

// llama takes llama-perplexity's names: a file is written, or with --kl-divergence compared with.
func (p *perplexityFlags) llama() error {
	switch {
	case p.kl && p.klBase == "":
		return usageError{errors.New("--kl-divergence needs --kl-divergence-base FILE")}
	case p.klBase == "":
	case p.base != "" || p.save != "":
		return usageError{errors.New("--kl-divergence-base is llama-perplexity's name of --base and --save-base: leave them out")}
	case p.kl && !verify.Recorded(p.klBase):
		return fmt.Errorf("%s: no recorded base (--kl-divergence-base without --kl-divergence writes one)", p.klBase)
	case p.kl:
		p.base = p.klBase
	default:
		p.save = p.klBase
	}
	return nil
}

func (p *perplexityFlags) check() error {
	if err := p.llama(); err != nil {
		return err
	}
	recorded := p.base != "" && verify.Recorded(p.base)
	switch {
	case p.file == "" && !recorded:
		return usageError{errors.New("perplexity needs -f TEXT")}
	case p.compact && p.save == "":
		return usageError{errors.New("--compact goes with --save-base")}
	case p.save != "" && (p.base != "" || p.budget > 0):
		return usageError{errors.New("--save-base records a base by itself: leave out --base and --budget")}
	}
	if !recorded {
		p.run.context = cmp.Or(p.run.context, verify.DefaultContext)
	}
	if p.save != "" { // a base's activations are kept as they are
		p.run.activations = "f32"
	}
	return nil
}

func (p *perplexityFlags) measure(cmd *cobra.Command, a *app, name string) error {
	if err := p.check(); err != nil {
		return err
	}
	text, err := readOptional(p.file)
	if err != nil {
		return err
	}
	m, done, err := a.load(name, p.src, p.run, cmd)
	if err != nil {
		return err
	}
	defer done()
	progress, end := a.track("perplexity", false)
	defer end()
	opts := verify.PerplexityOptions{Context: p.run.context, Chunks: p.chunks, Budget: p.budget, Seed: p.seed, Progress: progress}
	doc := perplexityDoc{envelope: a.envelope(), Saved: p.save}
	if p.budget > 0 {
		doc.Seed = &p.seed
	}
	switch {
	case p.save != "":
		err = p.record(cmd, a, name, m, text, opts, &doc)
	case p.base != "":
		err = p.compare(cmd, a, m, text, opts, &doc)
	default:
		var r verify.PerplexityResult
		r, err = verify.Perplexity(cmd.Context(), m, text, opts)
		doc.perplexity(r)
	}
	if err != nil {
		return err
	}
	end()
	return a.emit(doc, doc.print)
}

// record writes m's answers to a file, and takes its perplexity.
func (p *perplexityFlags) record(cmd *cobra.Command, a *app, name string, m *runtime.Model, text string, opts verify.PerplexityOptions, doc *perplexityDoc) error {
	if p.compact {
		src, err := a.open(name, p.src)
		if err != nil {
			return err
		}
		defer src.Close()
		print, err := verify.Fingerprint(cmd.Context(), src.Source)
		if err != nil {
			return err
		}
		b, err := verify.RecordBaseline(cmd.Context(), p.save, m, print, text, opts)
		if err != nil {
			return err
		}
		defer b.Close()
		r, err := b.Perplexity(cmd.Context())
		doc.perplexity(r)
		return err
	}
	b, err := verify.NewBaseline(cmd.Context(), m, text, opts, -1)
	if err != nil {
		return err
	}
	part, err := os.Create(p.save + ".part")
	if err != nil {
		return err
	}
	r, err := b.WriteWide(cmd.Context(), part)
	if e := part.Close(); err == nil {
		err = e
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	doc.perplexity(r)
	return os.Rename(part.Name(), p.save)
}

// compare holds m against the base: a recorded one, or another model's.
func (p *perplexityFlags) compare(cmd *cobra.Command, a *app, m *runtime.Model, text string, opts verify.PerplexityOptions, doc *perplexityDoc) error {
	b, done, err := p.baseline(cmd, a, m, text, opts)
	if err != nil {
		return err
	}
	defer done()
	k, err := b.Divergence(cmd.Context(), m)
	if err != nil {
		return err
	}
	doc.perplexity(k.PPL)
	doc.KLD = &kldDoc{k.Mean, k.Error, k.MeanInterval, k.Median, k.P99, k.P999, k.Max}
	doc.SameTop, doc.Agree = &k.SameTop, &k.SameTopInterval
	return nil
}

func (p *perplexityFlags) baseline(cmd *cobra.Command, a *app, m *runtime.Model, text string, opts verify.PerplexityOptions) (*verify.Baseline, func(), error) {
	if verify.Recorded(p.base) {
		b, err := verify.OpenBaseline(p.base, opts)
		if err == nil && text != "" {
			err = b.Match(m, text)
		}
		return b, func() { b.Close() }, err
	}
	run := p.run
	run.activations = "f32"
	base, done, err := a.load(p.base, p.src, run, cmd)
	if err != nil {
		return nil, nil, err
	}
	quiet := opts
	quiet.Progress = nil
	b, err := verify.NewBaseline(cmd.Context(), base, text, quiet, -1)
	if err != nil {
		done()
		return nil, nil, err
	}
	b.Track(opts.Progress)
	return b, done, nil
}

func (d *perplexityDoc) perplexity(p verify.PerplexityResult) {
	d.PPL, d.Error, d.Interval, d.Tokens, d.Chunks, d.Of, d.Scored = p.PPL, p.Error, p.Interval, p.Tokens, p.Chunks, p.Of, p.Scored
}

func (d *perplexityDoc) print(w io.Writer) error {
	of := ""
	if d.Chunks < d.Of {
		of = fmt.Sprintf(" of %d", d.Of)
	}
	if d.Seed != nil {
		of += fmt.Sprintf(" drawn by seed %d", *d.Seed)
	}
	_, err := fmt.Fprintf(w, "perplexity %.4f +/- %.4f, 95%% interval %.4f to %.4f  (%d chunks%s, %d of %d tokens scored)\n",
		d.PPL, d.Error, d.Interval.Low, d.Interval.High, d.Chunks, of, d.Scored, d.Tokens)
	if err == nil && d.KLD != nil {
		_, err = fmt.Fprintf(w, "KL divergence mean %.6f (%.6f to %.6f), median %.6f, 99%% %.6f, 99.9%% %.6f, max %.6f; same top token %.3f%% (%.3f to %.3f)\n",
			d.KLD.Mean, d.KLD.Interval.Low, d.KLD.Interval.High, d.KLD.Median, d.KLD.P99, d.KLD.P999, d.KLD.Max, *d.SameTop*100, 100*d.Agree.Low, 100*d.Agree.High)
	}
	return err
}

package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime"
)

// Check looks at one thing.
type Check struct {
	Name string
	// Structural checks come before all others; when one fails, the checks that run the model are not applicable.
	Structural bool
	Run        func(context.Context, *Subject) Result
}

// Subject is a file to verify and what it is held against.
type Subject struct {
	Name      string      // of the file, for the report
	Scheme    string      // Q4_K_M; chooses the default thresholds
	Source    gguf.Source // the file
	Reference gguf.Source // the checkpoint's plan, or another file of the same model; nil: checks against it are not applicable

	Text       string        // measured on this text; empty: such checks are not applicable
	Context    int           // tokens of a chunk; 0: 512
	Chunks     int           // the first N chunks; 0: all
	Baseline   *Baseline     // the reference's answers over its text, shared between the files of a release; nil: made when needed
	Budget     time.Duration // for the figures on the text: as many chunks as it is enough for, drawn by Seed; 0: Chunks alone
	Thresholds Thresholds    // laid over the scheme's defaults

	Checkpoint *Checkpoint     // the source's own files, shared between the files of a release; nil: the checks on them are not applicable
	Imatrix    *imatrix.Matrix // the file is said to be made with; nil: not known
	Sample     int64           // values of the weights that are compared at least; 0: 64 Mi
	Full       bool            // weights are compared whole, not sampled
	Seed       uint64          // of the samples
	Memory     int64           // bytes the checks on weights may take; 0: 512 MiB

	Runtime  runtime.Options // threads, placement; Activations and Context are set by the checks
	Workers  int             // for checks on weights; 0: Runtime.Threads, or one a CPU
	Progress func(check string, done, total int64)

	model    *runtime.Model
	shared   *shared // with the other files of a set; the subject's own while it is nil
	measured *Measurement
	nmse     map[place]float64 // of routed experts, see noteExpert
	hashes   map[string]string // SHA-256 of the files by path, which the scan fills in; nil: not wanted
}

// shared is what the files of a set are held against, loaded and run once for all of them.
type shared struct {
	reference   *runtime.Model
	ends        *endings
	baseline    *Baseline
	baselineErr error
	peers       []peer  // the files of the set
	largest     sibling // of them, where there is no reference
	lineup      *lineup // nil until a check asks
}

func (s *shared) close() {
	if s.reference != nil {
		s.reference.Close()
	}
	s.reference = nil
	s.largest.close()
}

// Measurement is what one pass over the text yields.
type Measurement struct {
	Perplexity PerplexityResult
	Divergence *DivergenceResult // nil without a reference
}

// Standard lists the checks in the order of the gate.
func Standard() []Check {
	return []Check{
		{Name: "source", Run: checkSource},
		{Name: "structure", Structural: true, Run: checkStructure},
		{Name: "contract", Structural: true, Run: checkContract},
		{Name: "metadata", Structural: true, Run: checkMetadata},
		{Name: "vocabulary", Structural: true, Run: checkVocabulary},
		{Name: "marks", Structural: true, Run: checkMarks},
		{Name: "scan", Structural: true, Run: checkScan},
		{Name: "fidelity", Structural: true, Run: checkFidelity},
		{Name: "mixture", Structural: true, Run: checkMixture},
		{Name: "encoding", Structural: true, Run: checkEncoding},
		{Name: "tokenizer", Structural: true, Run: checkTokenizer},
		{Name: "template", Structural: true, Run: checkTemplate},
		{Name: "stop", Run: checkStop},
		{Name: "decode", Run: checkDecode},
		{Name: "determinism", Run: checkDeterminism},
		{Name: "ablation", Run: checkAblation},
		{Name: "logits", Run: checkLogits},
		{Name: "kld", Run: checkDivergence},
		{Name: "perplexity", Run: checkPerplexity},
		{Name: "coverage", Run: checkCoverage},
		{Name: "ends", Run: checkEnds},
	}
}

// AtRest is checks, of which those that run the model are not applicable: what is left looks at the files alone.
func AtRest(checks []Check) []Check {
	out := slices.Clone(checks)
	for i, c := range out {
		if !c.Structural && c.Name != "source" {
			out[i].Run = func(context.Context, *Subject) Result { return NewResult(NotApplicable, "not run: --no-run") }
		}
	}
	return out
}

// Run carries out checks in order. A structural check that fails spares the model's run: the later ones become
// not applicable. The error is ctx's alone; everything else is a Result.
func Run(ctx context.Context, s *Subject, checks []Check) (*Report, error) {
	defer s.close()
	if s.shared == nil {
		defer func() { s.common().close() }()
	}
	rep := &Report{Name: s.Name, Scheme: s.Scheme, Status: Pass}
	start := time.Now()
	broken := ""
	for _, c := range checks {
		var r Result
		if broken != "" && !c.Structural {
			r = Resultf(NotApplicable, "not run: %s failed", broken)
		} else {
			t := time.Now()
			r = c.Run(ctx, s)
			r.Seconds = time.Since(t).Seconds()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.Name = c.Name
		if c.Structural && r.Status == Fail && broken == "" {
			broken = c.Name
		}
		rep.Checks = append(rep.Checks, r)
		rep.Status = Worse(rep.Status, r.Status)
	}
	rep.judge()
	rep.Measured = s.measured
	if s.Source != nil {
		rep.Experts = s.experts(rep.Checks)
	}
	rep.Seconds = time.Since(start).Seconds()
	return rep, nil
}

// yardsticks are the checks that hold a file against its source; without one of them nothing is proven.
var yardsticks = []string{"fidelity", "kld"}

const unproven = "nothing compared the file with its source: perplexity and probes alone do not prove a file"

// judge lowers the verdict of a report in which nothing compared the file with its source.
func (r *Report) judge() {
	for _, name := range yardsticks {
		if c, ok := r.Check(name); ok && c.Status != NotApplicable {
			return
		}
	}
	r.Status = Worse(r.Status, Warn)
	if !slices.Contains(r.Notes, unproven) {
		r.Notes = append(r.Notes, unproven)
	}
}

// close frees what the checks loaded.
func (s *Subject) close() {
	if s.model != nil {
		s.model.Close()
	}
	s.model, s.measured, s.nmse, s.hashes = nil, nil, nil, nil
}

// common is what s shares with the other files of its set; of its own where it has none.
func (s *Subject) common() *shared {
	if s.shared == nil {
		s.shared = &shared{}
	}
	return s.shared
}

// Model is the file, loaded once for all checks, with the reference's rounding of activations and its integer products.
func (s *Subject) Model() (*runtime.Model, error) {
	var err error
	if s.model == nil {
		s.model, err = s.load(s.Source, runtime.ActivationsIntegers, s.Runtime.Log)
	}
	return s.model, err
}

// ReferenceModel is the reference, loaded once, with activations as they are.
func (s *Subject) ReferenceModel() (*runtime.Model, error) {
	if s.Reference == nil {
		return nil, fmt.Errorf("verify: %s: no reference", s.Name)
	}
	var err error
	if c := s.common(); c.reference == nil {
		c.reference, err = s.load(s.Reference, runtime.ActivationsF32, nil)
	}
	return s.shared.reference, err
}

func (s *Subject) load(src gguf.Source, a runtime.Activations, log func(string)) (*runtime.Model, error) {
	o := s.Runtime
	o.Activations, o.KV, o.Log = a, gguf.F16, log // as llama-perplexity, whose figures ours are held against
	o.Context = 0
	m, err := runtime.Load(src, o.Fitted())
	if err != nil {
		return nil, fmt.Errorf("verify: %s: load: %w", s.Name, err)
	}
	return m, nil
}

func (s *Subject) progress(check string) func(done, total int64) {
	return func(done, total int64) {
		if s.Progress != nil {
			s.Progress(check, done, total)
		}
	}
}

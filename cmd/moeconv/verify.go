package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/verify"
)

// verifyDoc is the verdict on a release. A release of one file has that file's checks at the top, too.
type verifyDoc struct {
	envelope
	*verify.Release
	Scheme string          `json:"scheme,omitempty"`
	Checks []verify.Result `json:"checks,omitempty"`
}

func (a *app) verifyDoc(rel *verify.Release) verifyDoc {
	doc := verifyDoc{envelope: a.envelope(), Release: rel}
	if len(rel.Files) == 1 {
		doc.Scheme, doc.Checks = rel.Files[0].Scheme, rel.Files[0].Checks
	}
	return doc
}

// verifyFlags are what verify is told.
type verifyFlags struct {
	source, text, scheme, pre string
	baseline                  string
	budget                    time.Duration
	report, onFailure         string
	optional                  []string
	chunks, threads           int
	hash, noRun               bool
	weights                   weightFlags
	probes                    probeFlags
}

func verifyCmd(a *app) *cobra.Command {
	var v verifyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE... or DIR --source DIR",
		Short: "Prove a release: contract, scan, fidelity, logits, KL divergence, perplexity",
		Long: `verify holds GGUF files against their checkpoint (--source) over a text (--text), and
against each other: a file that is larger than another and further from the source is
marked dominated, and tokenizer, template, tags and metadata must be alike. DIR is a
release: all models in it, shards as one; importance matrices and projectors are left
aside. The source is opened and run once. Models are run as by perplexity, with
llama-perplexity's 16-bit KV cache.

A file with a failing check is held, the others stay publishable, and the exit status is
3 with the held files named. Without a source the checks that need one are not applicable
and the verdict is at best a warning. --report writes JSON, Markdown and one HTML page.`,
		Args: v.probes.args,
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd, a, args) },
	}
	f := cmd.Flags()
	f.StringVar(&v.source, "source", "", "the checkpoint `DIR`, or another file of the same model")
	f.StringVarP(&v.text, "text", "f", "", "`FILE` to measure perplexity and KL divergence on")
	f.IntVar(&v.chunks, "chunks", 8, "measure on the first `N` chunks; 0: all")
	f.DurationVar(&v.budget, "budget", 0, "measure each file on random chunks for this `TIME` (10m) instead of on the first ones")
	f.StringVar(&v.baseline, "baseline", "", "the source's answers, recorded in `FILE` by perplexity --save-base or llama-perplexity")
	f.StringVar(&v.scheme, "type", "", "`SCHEME` whose bounds apply (default: each file's own)")
	f.StringVar(&v.pre, "pre", "", "`NAME` of the source's pre-tokenizer if it cannot be told")
	f.IntVar(&v.threads, "threads", 0, "number of threads (default: all cores)")
	f.BoolVar(&v.hash, "hash", false, "read every file whole for its SHA-256, and hold it against SHA256SUMS; without, --json and --report do so where none is on record")
	f.BoolVar(&v.noRun, "no-run", false, "look at the files alone, within --memory: checks that run the model are not applicable")
	f.StringVar(&v.report, "report", "", "write NAME.verify.json, .md and .html to this `DIR`")
	f.StringVar(&v.onFailure, "on-failure", verify.HoldFile, "what a failing file holds: hold-file or hold-release")
	f.StringSliceVar(&v.optional, "optional", nil, "`LABELS` of files that may fail without failing the release")
	v.weights.register(f)
	v.probes.register(f)
	return cmd
}

func (v *verifyFlags) run(cmd *cobra.Command, a *app, args []string) error {
	if v.onFailure != verify.HoldFile && v.onFailure != verify.HoldRelease {
		return usageError{fmt.Errorf("--on-failure %s: want %s or %s", v.onFailure, verify.HoldFile, verify.HoldRelease)}
	}
	if v.noRun && (v.text != "" || v.probes.set != "" || v.probes.stress) {
		return usageError{errors.New("--no-run goes without --text, --probes and --stress")}
	}
	more, err := v.probes.checks()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		rel, err := v.probes.external(cmd.Context(), more)
		if err != nil {
			return err
		}
		return v.emit(a, rel)
	}
	found, err := findRelease(args)
	if err != nil {
		return err
	}
	set := &verify.Set{Name: found.Name, Members: found.Members, HoldRelease: v.onFailure == verify.HoldRelease, Private: privatePaths(args, v.source, v.text, v.baseline, v.weights.imatrix),
		Checks: append(verify.Standard(), more...)}
	if v.noRun {
		set.Checks = verify.AtRest(set.Checks)
	}
	if err := v.members(set.Members); err != nil {
		return err
	}
	source, err := v.subject(a, &set.Subject)
	if err != nil {
		return err
	}
	if set.Subject.Baseline != nil {
		defer set.Subject.Baseline.Close()
	}
	set.Source = verify.Provenance{Text: baseName(v.text), Tool: toolName(), Reference: referenceCommit}
	if source != nil {
		defer source.Close()
		set.Name = cmp.Or(set.Name, sourceName(source))
		set.Source.Repo, set.Source.Revision = hub.Origin(v.source)
		set.Source.Arch, _ = source.Metadata().Architecture()
		set.Source.Licence, _ = gguf.Value[string](source.Metadata(), "general.license")
	}
	switch set.Name = cmp.Or(set.Name, found.Members[0].Label); {
	case v.hash:
		set.Hash = verify.HashAll
	case v.report != "" || a.json: // the verdict may be kept, then it must say of which bytes
		set.Hash = verify.HashUnknown
	}
	matrixOf(found, &set.Source)
	progress, done := a.track("verify", false)
	defer done()
	set.Progress = func(_, _ string, n, total int64) { progress(n, total) }
	rel, err := set.Run(cmd.Context())
	if err != nil {
		return err
	}
	done()
	rel.Aside = found.Aside
	return v.emit(a, rel)
}

// matrixOf says how much of the experts the importance matrix beside the files has seen.
func matrixOf(found *verify.Found, p *verify.Provenance) {
	p.Coverage = verify.None()
	for _, f := range found.Aside {
		if !strings.Contains(f.Why, "importance matrix") {
			continue
		}
		var err error
		p.Imatrix = f.Name
		if p.Coverage, p.Holes, err = recipes.ImatrixCoverage(filepath.Join(found.Dir, f.Name)); err != nil {
			p.Holes = []string{f.Name + " cannot be read"}
		}
	}
}

// findRelease is the files of a folder, or those that are named.
func findRelease(args []string) (*verify.Found, error) {
	if info, err := os.Stat(args[0]); len(args) == 1 && err == nil && info.IsDir() {
		return verify.FindFiles(args[0])
	}
	return verify.TakeFiles(args)
}

// members tells members apart that may fail, and sets the scheme that the user gave.
func (v *verifyFlags) members(members []verify.Member) error {
	unused := slices.Clone(v.optional)
	for i := range members {
		m := &members[i]
		m.Scheme = v.scheme
		unused = slices.DeleteFunc(unused, func(o string) bool {
			is := strings.EqualFold(o, m.Label) || o == m.Name()
			m.Optional = m.Optional || is
			return is
		})
	}
	if len(unused) > 0 {
		var labels []string
		for _, m := range members {
			labels = append(labels, m.Label)
		}
		return usageError{fmt.Errorf("--optional %s: the release has %s", strings.Join(unused, ","), strings.Join(labels, ", "))}
	}
	return nil
}

// subject fills in what all files share; the source is nil where none is given.
func (v *verifyFlags) subject(a *app, s *verify.Subject) (*model, error) {
	var err error
	if s.Text, err = readOptional(v.text); err != nil {
		return nil, err
	}
	s.Chunks, s.Budget, s.Runtime.Threads = v.chunks, v.budget, v.threads
	if v.budget > 0 {
		s.Chunks = 0
	}
	if err := v.weights.apply(s); err != nil {
		return nil, err
	}
	if v.baseline != "" {
		opts := verify.PerplexityOptions{Chunks: s.Chunks, Budget: s.Budget, Seed: s.Seed}
		if s.Baseline, err = verify.OpenBaseline(v.baseline, opts); err != nil {
			return nil, err
		}
	}
	if v.source == "" {
		return nil, nil
	}
	m, err := a.open(v.source, sourceFlags{outType: "auto", pre: v.pre})
	if verify.Damaged(err) != "" {
		s.Checkpoint = &verify.Checkpoint{Err: err}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.Reference, s.Checkpoint = m.Source, checkpointOf(v.source, m)
	return m, nil
}

// emit prints the verdict and writes the reports.
func (v *verifyFlags) emit(a *app, rel *verify.Release) error {
	doc := a.verifyDoc(rel)
	var reports []string
	if v.report != "" {
		var err error
		if reports, err = rel.WriteReports(filepath.Join(v.report, rel.Name+".verify"), doc); err != nil {
			return err
		}
	}
	err := a.emit(doc, func(w io.Writer) error { return printVerdict(w, rel, reports) })
	if err == nil && rel.Status == verify.Fail {
		return heldError(rel)
	}
	return err
}

// heldError names the files that are held, and the checks that failed.
func heldError(rel *verify.Release) error {
	var names []string
	for _, h := range rel.Held {
		why := cmp.Or(h.Check, h.Reason)
		names = append(names, fmt.Sprintf("%s (%s)", h.File, why))
	}
	return checkError{"held back, failed its checks: " + strings.Join(names, ", ")}
}

func readOptional(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	return recipes.ReadText(name)
}

// baseName is a file's name without its folders; empty for none.
func baseName(name string) string {
	if name == "" {
		return ""
	}
	return filepath.Base(name)
}

// sourceName is what the source calls itself.
func sourceName(m *model) string {
	if m.plan != nil {
		return m.plan.Name()
	}
	name, _ := gguf.Value[string](m.Metadata(), "general.basename")
	return name
}

// privatePaths are the folders of the inputs, as they were given and as they are, which no report may show.
func privatePaths(args []string, more ...string) []string {
	var out []string
	for _, name := range slices.Concat(args, more) {
		if name == "" {
			continue
		}
		folder := name
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			folder = filepath.Dir(name)
		}
		out = append(out, filepath.Clean(folder))
		if abs, err := filepath.Abs(folder); err == nil {
			out = append(out, abs)
		}
	}
	return out
}

package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
)

// What holding one file does to the others of its release.
const (
	HoldFile    = "hold-file"
	HoldRelease = "hold-release"
)

// Release is the verdict on a set of files.
type Release struct {
	Name      string            `json:"name"`
	Verdict   string            `json:"verdict"` // in one line
	Status    Status            `json:"status"`  // fail: a file that is not optional is held
	Ready     []string          `json:"ready"`   // labels of files that may be published
	Held      []Held            `json:"held"`
	OnFailure string            `json:"on_failure"`        // hold-file or hold-release
	Publish   string            `json:"publish,omitempty"` // the command that publishes what is ready; empty: nothing is
	Source    Provenance        `json:"source"`
	Baseline  *PerplexityResult `json:"baseline,omitempty"` // the source's own; nil where it was not run
	Unchecked []Unchecked       `json:"not_checked"`
	Methods   []Method          `json:"methods"`
	Aside     []Aside           `json:"aside,omitempty"`
	Templates []Template        `json:"templates,omitempty"` // chat templates, where there is more than one
	Files     []*Report         `json:"files,omitempty"`

	repo string // to publish to
}

// Held is a file that may not be published, and why.
type Held struct {
	Label    string `json:"label"`
	File     string `json:"file"`
	Check    string `json:"check,omitempty"` // the first that fails; empty for a file held for another's sake
	Reason   string `json:"reason"`
	Optional bool   `json:"optional,omitempty"`
}

// Provenance says where the files come from. Empty fields are not known.
type Provenance struct {
	Repo      string   `json:"repo,omitempty"`
	Revision  string   `json:"revision,omitempty"`
	Arch      string   `json:"architecture,omitempty"`
	Licence   string   `json:"license,omitempty"`
	Fixes     []string `json:"fixes,omitempty"`             // what differs from the reference's conversion on purpose
	Defects   []string `json:"reference_defects,omitempty"` // of the conversion, reproduced
	Imatrix   string   `json:"imatrix,omitempty"`
	Coverage  Number   `json:"imatrix_coverage"` // share of the routed experts that the matrix saw; null: not known
	Holes     []string `json:"imatrix_holes,omitempty"`
	Reference string   `json:"reference,omitempty"` // the implementation whose bytes these are
	Tool      string   `json:"tool,omitempty"`
	Text      string   `json:"text,omitempty"` // what figures were measured on
}

// Unchecked is what the report says nothing of.
type Unchecked struct {
	What  string   `json:"what"`
	Why   string   `json:"why"`
	Files []string `json:"files,omitempty"` // labels; none: all
}

// Method says how a figure was found, and over what.
type Method struct {
	Figure string `json:"figure"`
	Method string `json:"method"`
	Scope  string `json:"scope"`
}

// Template is a chat template, and who has it.
type Template struct {
	Who  string `json:"who"` // labels, or source
	Text string `json:"text"`
}

// Aside is a file of the folder that is no model to verify.
type Aside struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// SchemeOf is the scheme that a file names as its own; empty where it names none that is known.
func SchemeOf(md *gguf.Metadata) string {
	id, err := gguf.Value[uint32](md, "general.file_type")
	if err != nil {
		return ""
	}
	for _, s := range quantize.Schemes() {
		if s.FileType == id && !s.Copy {
			return s.Name
		}
	}
	return ""
}

// Judge decides what is held, and puts it into words. It may be called again after Source or OnFailure changed.
func (r *Release) Judge() {
	r.Ready, r.Held, r.Status = []string{}, []Held{}, Pass
	var cause []string
	for _, f := range r.Files {
		switch {
		case f.Status != Fail:
			r.Status = Worse(r.Status, f.Status)
			continue
		case !f.Optional:
			r.Status = Fail
			cause = append(cause, f.Label)
		default:
			r.Status = Worse(r.Status, Warn)
		}
		r.Held = append(r.Held, f.held())
	}
	all := r.OnFailure == HoldRelease && len(cause) > 0
	for _, f := range r.Files {
		switch {
		case f.Status == Fail:
		case all:
			r.Held = append(r.Held, Held{Label: f.Label, File: f.Name, Reason: "held with " + strings.Join(cause, ", "), Optional: f.Optional})
		default:
			r.Ready = append(r.Ready, f.Label)
		}
	}
	r.Verdict = r.verdict()
	r.Publish = r.publishCommand()
	r.Unchecked = r.unchecked()
	if r.Source.Licence == "" {
		r.Source.Licence = r.common(func(f *Report) string { return f.Licence })
	}
	if r.Source.Imatrix == "" {
		r.Source.Imatrix = r.common(func(f *Report) string { return f.Imatrix })
	}
}

// common is what the files say, each value once.
func (r *Release) common(of func(*Report) string) string {
	var values []string
	for _, f := range r.Files {
		if v := of(f); v != "" && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return strings.Join(values, ", ")
}

func (r *Report) held() Held {
	h := Held{Label: r.Label, File: r.Name, Reason: r.failing(), Optional: r.Optional}
	for _, c := range r.Checks {
		if c.Status == Fail {
			h.Check = c.Name
			break
		}
	}
	return h
}

// verdict is the one line: 18 ready, 1 held (IQ2_M: scan: ...).
func (r *Release) verdict() string {
	line := fmt.Sprintf("%d ready, %d held", len(r.Ready), len(r.Held))
	var why []string
	others := 0
	for _, h := range r.Held {
		if h.Check == "" {
			others++
			continue
		}
		reason := h.Label + ": " + h.Reason
		if h.Optional {
			reason = h.Label + " (optional): " + h.Reason
		}
		why = append(why, reason)
	}
	if others > 0 {
		why = append(why, fmt.Sprintf("%d others with them", others))
	}
	if len(why) > 0 {
		line += " (" + strings.Join(why, "; ") + ")"
	}
	if n := r.warned(); n > 0 {
		line += fmt.Sprintf(", %d with warnings", n)
	}
	return line
}

// warned counts files that are ready with warnings.
func (r *Release) warned() int {
	n := 0
	for _, f := range r.Files {
		if f.Status == Warn && slices.Contains(r.Ready, f.Label) {
			n++
		}
	}
	return n
}

// publishCommand publishes what is ready and leaves the others behind, from the release's folder. Empty when nothing is.
func (r *Release) publishCommand() string {
	if len(r.Ready) == 0 {
		return ""
	}
	repo := cmp.Or(r.repo, "OWNER/"+cmp.Or(r.Name, "NAME")+"-GGUF")
	command := "moeconv publish . --repo " + quoteArg(repo)
	if r.OnFailure == HoldRelease {
		command += " --on-failure " + HoldRelease
	}
	return command
}

// quoteArg is an argument as a shell reads it.
func quoteArg(s string) string {
	safe := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./+", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !safe(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// unchecked gathers checks that do not apply, with the reason, by reason.
func (r *Release) unchecked() []Unchecked {
	out := []Unchecked{}
	at := map[[2]string]int{}
	for _, f := range r.Files {
		for _, c := range f.Checks {
			if c.Status != NotApplicable {
				continue
			}
			k := [2]string{c.Name, c.Detail}
			i, ok := at[k]
			if !ok {
				i = len(out)
				at[k] = i
				out = append(out, Unchecked{What: c.Name, Why: c.Detail})
			}
			out[i].Files = append(out[i].Files, f.Label)
		}
	}
	for i := range out {
		if len(out[i].Files) == len(r.Files) {
			out[i].Files = nil
		}
	}
	for _, f := range r.Files {
		if slices.ContainsFunc(f.Files, func(p Part) bool { return p.SHA256 == "" }) {
			out = append(out, Unchecked{"SHA-256", "not computed, and not recorded beside the files", []string{f.Label}})
		}
	}
	return out
}

// Worst is the files, those that matter most first: held, warned, passed; within these by the worst divergence.
func (r *Release) Worst() []*Report {
	out := slices.Clone(r.Files)
	slices.SortStableFunc(out, func(a, b *Report) int {
		return cmp.Or(cmp.Compare(b.Status.rank(), a.Status.rank()), cmp.Compare(b.kld(), a.kld()))
	})
	return out
}

func (r *Report) kld() float64 {
	if r.Quality == nil || !r.Quality.MeanKLD.Valid() {
		return -1
	}
	return float64(r.Quality.MeanKLD)
}

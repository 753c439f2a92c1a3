package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
)

// quantizeDoc is about one output, or several.
type quantizeDoc struct {
	writtenDoc
	*jobDoc             // of an output that stands alone
	Outputs []outputDoc `json:"outputs,omitempty"`
}

// outputDoc is one of several outputs.
type outputDoc struct {
	jobDoc
	Files   []writtenFile `json:"files"`
	Tensors int           `json:"tensors"`
	Bytes   int64         `json:"total_bytes"`
}

// newQuantizeDoc is what is known of outputs before they are written.
func newQuantizeDoc(e envelope, targets []target, dry bool) *quantizeDoc {
	d := &quantizeDoc{writtenDoc: writtenDoc{envelope: e, DryRun: dry}}
	for _, t := range targets {
		o := outputDoc{jobDoc: t.doc, Files: []writtenFile{}, Tensors: len(t.doc.Types), Bytes: t.bytes}
		if !dry {
			o.Types = nil
		}
		d.Outputs = append(d.Outputs, o)
		d.Tensors = o.Tensors
		d.Bytes += t.bytes
	}
	if len(targets) == 1 {
		d.jobDoc, d.Outputs = &d.Outputs[0].jobDoc, nil
	}
	return d
}

// written puts the outputs' files in.
func (d *quantizeDoc) written(files [][]writtenFile) {
	for i, f := range files {
		d.Files = append(d.Files, f...)
		if d.Outputs != nil {
			d.Outputs[i].Files = f
		}
	}
}

// jobDoc says what becomes of the tensors of one output.
type jobDoc struct {
	Scheme    string          `json:"type"`
	BPW       float64         `json:"bits_per_weight"`
	Fallbacks int             `json:"fallbacks"`
	Roles     []roleDoc       `json:"roles"`
	Types     []tensorTypeDoc `json:"tensor_types,omitempty"`
	Rules     []ruleDoc       `json:"rules,omitempty"`
	Imatrix   *imatrixDoc     `json:"imatrix,omitempty"`
	Warnings  []string        `json:"warnings,omitempty"`
}

type roleDoc struct {
	Role  string  `json:"role"`
	Bytes int64   `json:"bytes"`
	BPW   float64 `json:"bits_per_weight"`
}

type tensorTypeDoc struct {
	Name  string     `json:"name"`
	Type  string     `json:"type"`
	From  string     `json:"from"`
	Shape gguf.Shape `json:"shape"`
	Bytes int64      `json:"bytes"`
	Role  string     `json:"role"`
}

type ruleDoc struct {
	Pattern string `json:"pattern"`
	Type    string `json:"type"`
	Tensors int    `json:"tensors"` // whose names it matches
	Decided int    `json:"decided"` // of these, those whose type it decided
}

type imatrixDoc struct {
	Targets     int       `json:"targets"`
	Matched     int       `json:"matched"`
	Experts     int       `json:"experts"`
	NeverRouted int       `json:"never_routed"`
	Holes       []holeDoc `json:"holes"`
	Unused      []string  `json:"unused_entries"`
}

type holeDoc struct {
	Tensor  string `json:"tensor"`
	Kind    string `json:"kind"`
	Experts []int  `json:"experts,omitempty"`
	Filled  string `json:"filled,omitempty"`
	Text    string `json:"text"`
}

// describe puts a job into words, and says on stderr what its user should know before it runs. The user's own rules are the
// first of the job's.
func (a *app) describe(job *quantize.Job, own int) (jobDoc, error) {
	sum, err := job.Summary()
	if err != nil {
		return jobDoc{}, err
	}
	doc := jobDoc{Scheme: sum.Scheme, BPW: sum.BitsPerWeight, Fallbacks: len(sum.Fallbacks)}
	for _, c := range sum.Classes {
		doc.Roles = append(doc.Roles, roleDoc{c.Class.String(), c.Bytes, c.BitsPerWeight})
	}
	for _, t := range sum.Tensors {
		doc.Types = append(doc.Types, tensorTypeDoc{t.Name, t.Type.String(), t.From.String(), t.Shape, t.Bytes, t.Class.String()})
	}
	for i, r := range sum.Rules {
		doc.Rules = append(doc.Rules, ruleDoc{r.Pattern, r.Type.String(), r.Tensors, r.Decided})
		if i < own {
			a.diag("rule %s=%v: %d tensors, %d decided by it", r.Pattern, r.Type, r.Tensors, r.Decided)
		}
	}
	if own < len(sum.Rules) {
		for _, line := range typeCounts(doc.Types) {
			a.diag("chosen: %s", line)
		}
	}
	if c := job.Coverage(); c.Lines() != nil {
		doc.Imatrix = newImatrixDoc(c)
		for _, line := range c.Lines() {
			a.diag("%s", line)
		}
	}
	doc.Warnings = jobWarnings(job, sum)
	for _, w := range doc.Warnings {
		a.diag("warning: %s", w)
	}
	return doc, nil
}

func jobWarnings(job *quantize.Job, sum quantize.Summary) []string {
	var out []string
	for _, err := range job.Obstacles() {
		out = append(out, "this would stop the job: "+err.Error())
	}
	idle := 0
	for _, r := range sum.Rules {
		if r.Decided == 0 {
			idle++
		}
	}
	if idle > 0 {
		out = append(out, fmt.Sprintf("%d rules decide nothing: earlier ones or other flags come first, or the scheme takes none", idle))
	}
	for _, w := range []string{sum.Warning(), sum.Misleading()} {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

func newImatrixDoc(c quantize.Coverage) *imatrixDoc {
	doc := &imatrixDoc{Targets: c.Targets, Matched: c.Matched, Experts: c.Experts, NeverRouted: c.NeverRouted(), Holes: []holeDoc{}, Unused: c.Unused}
	for _, h := range c.Holes {
		doc.Holes = append(doc.Holes, holeDoc{h.Tensor, h.Kind.String(), h.Experts, h.Filled, h.String()})
	}
	return doc
}

// printPlan prints what a dry run found.
func (d *quantizeDoc) printPlan(w io.Writer) error {
	if d.jobDoc != nil {
		return d.jobDoc.printPlan(w, d.Bytes)
	}
	for _, o := range d.Outputs {
		if err := o.printPlan(w, o.Bytes); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%-16s %s\n", "all", formatBytes(d.Bytes))
	return err
}

func (d *jobDoc) printPlan(w io.Writer, bytes int64) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"tensor", "from", "type", "shape", "bytes", "role"})
	alignRight(t, 5, 5)
	for _, x := range d.Types {
		t.AppendRow(table.Row{x.Name, x.From, x.Type, x.Shape, x.Bytes, x.Role})
	}
	var b strings.Builder
	b.WriteString(t.Render() + "\n")
	for _, r := range d.Roles {
		fmt.Fprintf(&b, "%-16s %8.4f bits per weight  %s\n", r.Role, r.BPW, formatBytes(r.Bytes))
	}
	fmt.Fprintf(&b, "%-16s %8.4f bits per weight  %s\n", d.Scheme, d.BPW, formatBytes(bytes))
	_, err := io.WriteString(w, b.String())
	return err
}

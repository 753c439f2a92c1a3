package verify

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// verdictLines is how many of the first lines of every summary are the verdicts.
const verdictLines = 10

// publishLine opens the line with the command that publishes.
const publishLine = "publish: "

// Verdicts are the first ten lines of every report: the verdict, the command that publishes, the files that matter most,
// and what they were measured on. Always ten.
func (r *Release) Verdicts() []string {
	lines := []string{fmt.Sprintf("%s: %s", r.Name, r.Verdict), publishLine + cmp.Or(r.Publish, "nothing")}
	const files = 5
	worst := r.Worst()
	for i, f := range worst[:min(files, len(worst))] {
		if i == files-1 && len(worst) > files {
			lines = append(lines, fmt.Sprintf("and %d more files", len(worst)-files+1))
			break
		}
		lines = append(lines, f.line())
	}
	p := r.Source
	lines = append(lines,
		"source: "+known(strings.TrimSpace(p.Repo+" "+p.Revision))+", architecture "+known(p.Arch)+", licence "+known(p.Licence),
		fmt.Sprintf("importance matrix: %s, %s of the experts seen", known(p.Imatrix), (100*p.Coverage).Format("%.2f%%")),
		"reference: "+known(p.Reference)+", tool "+known(p.Tool))
	for len(lines) < verdictLines {
		lines = append(lines, "")
	}
	return lines
}

// line is the file in one line.
func (r *Report) line() string {
	s := fmt.Sprintf("%s: %s, %.4g GB", r.Label, r.Status, float64(r.Bytes)/1e9)
	if q := r.Quality; q != nil {
		s += fmt.Sprintf(", mean KLD %s, same top %s", q.MeanKLD.Format("%.6f"), (100 * q.SameTop).Format("%.2f%%"))
	}
	if len(r.DominatedBy) > 0 {
		s += ", dominated by " + r.DominatedBy[0]
	}
	return s
}

func known(s string) string { return cmp.Or(s, "not known") }

// Markdown writes the summary; its first ten lines are the verdicts.
func (r *Release) Markdown(w io.Writer) error {
	var b strings.Builder
	for _, l := range r.Verdicts() {
		if command, ok := strings.CutPrefix(l, publishLine); ok && r.Publish != "" {
			l = publishLine + "`" + command + "`"
		} else {
			l = escapeMarkdown(l)
		}
		b.WriteString(strings.TrimSpace(l) + "  \n") // two spaces: a line of its own
	}
	b.WriteString("\n## Files\n\n| file | verdict | GB | shards | bits/weight | of experts | mean KLD (95%) | same top | PPL ratio | p(end) ratio | dominated by | SHA-256 |\n")
	b.WriteString("| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --- | --- |\n")
	for _, f := range r.Worst() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(f.cells(), " | "))
	}
	b.WriteString("\n## Remarks\n\n")
	for _, f := range r.Worst() {
		for _, c := range f.Checks {
			if c.Status == Fail || c.Status == Warn {
				fmt.Fprintf(&b, "- %s, %s, %s: %s\n", escapeMarkdown(f.Label), c.Status, c.Name, escapeMarkdown(c.Detail))
			}
		}
		for _, n := range f.Notes {
			fmt.Fprintf(&b, "- %s: %s\n", escapeMarkdown(f.Label), escapeMarkdown(n))
		}
	}
	for _, l := range r.Source.remarks() {
		fmt.Fprintf(&b, "- %s\n", escapeMarkdown(l))
	}
	b.WriteString("\n## Not checked\n\n")
	for _, u := range r.Unchecked {
		fmt.Fprintf(&b, "- %s: %s%s\n", u.What, escapeMarkdown(u.Why), escapeMarkdown(u.of()))
	}
	for _, a := range r.Aside {
		fmt.Fprintf(&b, "- %s: left aside, it is %s\n", escapeMarkdown(a.Name), a.Why)
	}
	b.WriteString("\n## Methods\n\n| figure | method | scope |\n| --- | --- | --- |\n")
	for _, m := range r.Methods {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", escapeMarkdown(m.Figure), escapeMarkdown(m.Method), escapeMarkdown(m.Scope))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cells are the file's row in the table.
func (r *Report) cells() []string {
	out := []string{
		escapeMarkdown(r.Label), string(r.Status), fmt.Sprintf("%.4g", float64(r.Bytes)/1e9), fmt.Sprint(len(r.Files)),
		r.BPW.Format("%.3f"), r.ExpertBPW.Format("%.3f"),
	}
	q := r.Quality
	if q == nil {
		none := None()
		q = &Quality{none, none, none, none, none, none, none, none, 0, 0, nil}
	}
	return append(out, q.interval(), (100 * q.SameTop).Format("%.2f%%"), q.PPLRatio.Format("%.5f"), q.EndRatio.Format("%.3f"),
		escapeMarkdown(strings.Join(r.DominatedBy, ", ")), r.hash())
}

// interval is the mean KL divergence with its 95% interval.
func (q *Quality) interval() string {
	if !q.KLDLow.Valid() {
		return q.MeanKLD.Format("%.4g")
	}
	return fmt.Sprintf("%.4g (%.3g to %.3g)", float64(q.MeanKLD), float64(q.KLDLow), float64(q.KLDHigh))
}

// hash is the first eight digits of the first part's SHA-256, or a dash.
func (r *Report) hash() string {
	if len(r.Files) == 0 || len(r.Files[0].SHA256) < 8 {
		return "-"
	}
	return r.Files[0].SHA256[:8]
}

// of names the files that an unchecked thing concerns.
func (u Unchecked) of() string {
	if len(u.Files) == 0 {
		return ""
	}
	return " (" + strings.Join(u.Files, ", ") + ")"
}

// remarks are what a person should know of where the files come from.
func (p Provenance) remarks() []string {
	var out []string
	for _, f := range p.Fixes {
		out = append(out, "fix: "+f)
	}
	for _, d := range p.Defects {
		out = append(out, "defect of the reference, reproduced: "+d)
	}
	for _, h := range p.Holes {
		out = append(out, "importance matrix: "+h)
	}
	return out
}

// escapeMarkdown keeps text from being markup or from ending a table's cell.
func escapeMarkdown(s string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "<", "&lt;", "[", "\\[", "\n", " ", "\r", " ").Replace(s)
}

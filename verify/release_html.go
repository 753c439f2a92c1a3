package verify

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed release.html.tmpl
var pageSource string

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("release").Funcs(template.FuncMap{"sign": sign}).Parse(pageSource))
})

// Bounds of what the page repeats of the JSON: it stays below 5 MB for 21 files of a model with 94 x 128 experts.
const (
	pageProblems = 5
	pageText     = 4000
	pageTitle    = 400
)

// HTML writes the report as one page that needs nothing else: no network, no script.
func (r *Release) HTML(w io.Writer) error {
	v := pageView{Release: r, Checks: r.checkNames(), Plot: r.plot(), Heat: r.heatMap(), Remarks: r.Source.remarks()}
	for _, f := range r.Worst() {
		v.Rows = append(v.Rows, v.row(f))
	}
	v.Probes, v.Loads = r.answers(), r.loads()
	if err := page().Execute(w, v); err != nil {
		return fmt.Errorf("verify: report: %w", err)
	}
	return nil
}

// pageView is what the page's template shows.
type pageView struct {
	*Release
	Checks  []string // columns
	Rows    []pageRow
	Plot    template.HTML
	Heat    heatView
	Probes  []probeView
	Loads   []loadView
	Remarks []string
}

// pageRow is a file's row.
type pageRow struct {
	*Report
	GB, Interval, SameTop, Ratio, Ends, Hash string
	Cells                                    []pageCell
	Details                                  []pageCell // every check
}

// pageCell is a check's outcome.
type pageCell struct {
	Name, Text, Title string
	Class             string
	Problems          []string
}

// sign is an outcome in one character.
func sign(status string) string {
	switch Status(status) {
	case Pass:
		return "✓"
	case Warn:
		return "!"
	case Fail:
		return "✗"
	}
	return "–"
}

// Sign is the outcome in one character.
func (c pageCell) Sign() string { return sign(c.Text) }

// checkNames are the columns: every check of any file, in their order.
func (r *Release) checkNames() []string {
	var out []string
	for _, f := range r.Files {
		for _, c := range f.Checks {
			if !slices.Contains(out, c.Name) {
				out = append(out, c.Name)
			}
		}
	}
	return out
}

func (v *pageView) row(f *Report) pageRow {
	c := f.cells()
	row := pageRow{Report: f, GB: c[2], Interval: c[6], SameTop: c[7], Ratio: c[8], Ends: c[9], Hash: c[11]}
	for _, name := range v.Checks {
		cell := pageCell{Name: name, Text: string(NotApplicable), Class: "na", Title: name + ": not run"}
		if r, ok := f.Check(name); ok {
			cell = cellOf(r)
		}
		row.Cells = append(row.Cells, cell)
		if len(cell.Title) > 0 {
			row.Details = append(row.Details, cell)
		}
	}
	return row
}

// cellOf is a result in a few letters, with the reason as its title.
func cellOf(c Result) pageCell {
	cell := pageCell{Name: c.Name, Text: string(c.Status), Class: string(c.Status), Title: shorten(c.Detail, pageTitle)}
	if c.Status == NotApplicable {
		cell.Class = "na"
	}
	for _, p := range c.Problems[:min(pageProblems, len(c.Problems))] {
		cell.Problems = append(cell.Problems, shorten(p.String(), pageTitle))
	}
	if n := c.Count - len(cell.Problems); n > 0 && len(cell.Problems) > 0 {
		cell.Problems = append(cell.Problems, fmt.Sprintf("and %d more; the JSON report lists the first %d", n, maxProblems))
	}
	return cell
}

// Badge is the class of the verdict's line.
func (v pageView) Badge() string { return string(v.Status) }

// Calm reports whether there is nothing for a person to judge.
func (v pageView) Calm() bool {
	return len(v.Remarks) == 0 && len(v.Templates) == 0 && !slices.ContainsFunc(v.Rows, func(r pageRow) bool { return len(r.Person()) > 0 })
}

// Person are the things that a person has to judge: failures and warnings of each file.
func (r pageRow) Person() []pageCell {
	return slices.DeleteFunc(slices.Clone(r.Details), func(c pageCell) bool { return c.Class != "fail" && c.Class != "warn" })
}

// loadView is a phase of the stress protocol on a file, with all of its figures.
type loadView struct {
	Label, Phase, Gate, Figures string
	pageCell
}

// loads are the phases of the stress protocol, file by file.
func (r *Release) loads() (out []loadView) {
	for _, f := range r.Files {
		for _, c := range f.Checks {
			phase, ok := strings.CutPrefix(c.Name, "stress ")
			if !ok {
				continue
			}
			v := loadView{Label: f.Label, Phase: phase, pageCell: cellOf(c)}
			if c.Threshold.Valid() {
				v.Gate = c.Threshold.Format("%.4g")
			}
			var figures []string
			for _, name := range slices.Sorted(maps.Keys(c.Figures)) {
				if n := c.Figures[name]; n.Valid() {
					figures = append(figures, name+" "+n.Format("%.4g"))
				}
			}
			v.Figures = strings.Join(figures, ", ")
			out = append(out, v)
		}
	}
	return out
}

// probeView is a question with the source's answer and the files'.
type probeView struct {
	Name, Prompt, Original string
	Answers                []answerView
}

type answerView struct{ Label, Text, Class, Detail string }

// answers are those of the probes, side by side with the source's.
func (r *Release) answers() []probeView {
	var out []probeView
	at := map[string]int{}
	for _, f := range r.Files {
		for _, c := range f.Checks {
			if c.Output == "" {
				continue
			}
			i, ok := at[c.Name]
			if !ok {
				i = len(out)
				at[c.Name] = i
				out = append(out, probeView{Name: c.Name, Prompt: shorten(c.Prompt, pageText)})
			}
			if out[i].Original == "" {
				out[i].Original = shorten(c.Original, pageText)
			}
			out[i].Answers = append(out[i].Answers, answerView{f.Label, shorten(c.Output, pageText), string(c.Status), shorten(c.Detail, pageTitle)})
			out[i].Answers = append(out[i].Answers, drawnViews(f.Label, c.Answers, out[i].Answers)...)
		}
	}
	return out
}

// drawnShown is how many of the answers that were drawn again are shown of each file and probe; the JSON has all.
const drawnShown = 3

// drawnViews are the first answers that were drawn again of a file, and of its source where they are not yet shown.
func drawnViews(file string, answers []Answer, shown []answerView) (out []answerView) {
	of := map[string]int{}
	for _, a := range answers[min(1, len(answers)):] {
		who := file
		if a.Engine != "builtin" && a.Engine != "endpoint" {
			who = a.Engine
		}
		label := fmt.Sprintf("%s again, temperature %.3g, seed %d", who, a.Temperature, a.Seed)
		of[who]++
		if of[who] > drawnShown || slices.ContainsFunc(shown, func(v answerView) bool { return v.Label == label }) {
			continue
		}
		out = append(out, answerView{label, shorten(a.Text, pageText), string(a.Status), shorten(strings.Join(a.Findings, "; "), pageTitle)})
	}
	return out
}

// Joined are the labels of what dominates the file.
func (r pageRow) Joined() string { return strings.Join(r.DominatedBy, ", ") }

// Levels are the legend of the experts' colours.
func (v pageView) Levels() []string {
	out := []string{"NMSE below 1e-6"}
	for e := heatLevels - 2; e > 0; e-- {
		out = append(out, fmt.Sprintf("from 1e-%d", e))
	}
	return append(out, "from 1")
}

// CoveragePercent is the share of experts that the importance matrix saw.
func (p Provenance) CoveragePercent() string { return (100 * p.Coverage).Format("%.2f%%") }

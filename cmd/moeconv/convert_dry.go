package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// dryDoc is what convert --dry-run says: every tensor and every file, nothing written.
type dryDoc struct {
	writtenDoc
	Plan  []plannedTensor `json:"plan"`
	Parts []plannedFile   `json:"planned_files"`
	Roles []roleDoc       `json:"roles"`
}

type plannedTensor struct {
	Name    string     `json:"name"`
	Type    string     `json:"type"`
	Shape   gguf.Shape `json:"shape"`
	Bytes   int64      `json:"bytes"`
	Role    string     `json:"role"`
	Sources []string   `json:"sources"` // tensors of the checkpoint; none where config.json alone makes it
}

type plannedFile struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	Tensors int    `json:"tensors"`
}

func (a *app) dryRun(written writtenDoc, name string, p *convert.Plan, output *outputFlags) error {
	opts, err := output.options(nil)
	if err != nil {
		return err
	}
	parts, err := gguf.Parts(name, p, opts)
	if err != nil {
		return err
	}
	doc := dryDoc{writtenDoc: written, Plan: []plannedTensor{}}
	if len(parts) > 1 {
		doc.Bytes = 0
	}
	for _, part := range parts {
		doc.Parts = append(doc.Parts, plannedFile{part.Path, part.Bytes, part.Tensors})
		if len(parts) > 1 {
			doc.Bytes += part.Bytes
		}
	}
	at := map[string]int{}
	var elements []int64
	for i, t := range p.Tensors() {
		role := names.ClassOf(t.Name).String()
		doc.Plan = append(doc.Plan, plannedTensor{t.Name, t.Type.String(), t.Shape, t.Bytes(), role, p.Sources(i)})
		if _, ok := at[role]; !ok {
			at[role] = len(doc.Roles)
			doc.Roles, elements = append(doc.Roles, roleDoc{Role: role}), append(elements, 0)
		}
		doc.Roles[at[role]].Bytes += t.Bytes()
		elements[at[role]] += t.Shape.Elements()
	}
	for i := range doc.Roles {
		doc.Roles[i].BPW = 8 * float64(doc.Roles[i].Bytes) / float64(max(1, elements[i]))
	}
	return a.emit(doc, doc.print)
}

func (d *dryDoc) print(w io.Writer) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"tensor", "type", "shape", "bytes", "role", "from"})
	alignRight(t, 4, 4)
	for _, p := range d.Plan {
		t.AppendRow(table.Row{p.Name, p.Type, p.Shape, p.Bytes, p.Role, sourcesText(p.Sources)})
	}
	var b strings.Builder
	b.WriteString(t.Render() + "\n")
	for _, r := range d.Roles {
		fmt.Fprintf(&b, "%-16s %8.4f bits per weight  %s\n", r.Role, r.BPW, formatBytes(r.Bytes))
	}
	for _, p := range d.Parts {
		fmt.Fprintf(&b, "%s: %d tensors, %s\n", p.Path, p.Tensors, formatBytes(p.Bytes))
	}
	fmt.Fprintf(&b, "%d tensors, %s\n", d.Tensors, formatBytes(d.Bytes))
	_, err := io.WriteString(w, b.String())
	return err
}

// sourcesText names what a tensor is made from; of many, the first and how many more.
func sourcesText(from []string) string {
	switch len(from) {
	case 0:
		return "config.json"
	case 1:
		return from[0]
	}
	return fmt.Sprintf("%s and %d more", from[0], len(from)-1)
}

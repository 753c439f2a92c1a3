package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

func (d *planDoc) print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(d.Source.line() + "\n")
	class := ""
	if d.Class != "" {
		class = " (" + d.Class + ")"
	}
	fmt.Fprintf(&b, "  family     %s%s, load contract %s\n", d.Arch, class, d.Contract)
	if e := d.Experts; e.None != "" {
		fmt.Fprintf(&b, "  experts    none: %s\n", e.None)
	} else {
		fmt.Fprintf(&b, "  experts    %d, %d used, %d shared, in %d of %d layers\n", e.Count, e.Used, e.Shared, e.Layers, e.Blocks)
	}
	p := d.Parameters
	fmt.Fprintf(&b, "  parameters %d (%.2f B), %d (%.2f B) active for a token, %d of them the embedding\n",
		p.Total, float64(p.Total)/1e9, p.Active, float64(p.Active)/1e9, p.Embedding)
	fmt.Fprintf(&b, "  tensors    %d, %d of them F32, %d of routed experts\n", d.Tensors.Count, d.Tensors.F32, d.Tensors.Experts)
	fmt.Fprintf(&b, "  context    %s\n", d.Context.line())
	for _, q := range d.Defects {
		fmt.Fprintf(&b, "  defect     %s: %s (hf2gguf mends it)\n", q.Key, q.What)
	}
	if d.Placement != nil {
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		return d.Placement.print(w)
	}
	b.WriteString(d.table() + "\n")
	fmt.Fprintf(&b, "disk: source %s\n    + %s %s\n    = %s; no intermediate file\n",
		formatBytes(d.Disk.Source), strings.Join(d.Disk.Types, ", "), formatBytes(d.Disk.Outputs), formatBytes(d.Disk.Total))
	_, err := io.WriteString(w, b.String())
	return err
}

// name is the model as it was given.
func (s planSource) name() string {
	if s.Repo != "" {
		return s.Repo
	}
	return s.Path
}

func (s planSource) line() string {
	name := s.Path
	if s.Repo != "" {
		name = s.Repo + "@" + s.Revision
		if s.Commit != "" {
			name += " (" + s.Commit[:min(12, len(s.Commit))] + ")"
		}
	}
	if s.Gated {
		name += ", gated"
	}
	if s.Cached {
		name += ", from the cache"
	}
	return fmt.Sprintf("%s: %d weight file(s), %s in all", name, s.Shards, formatBytes(s.Bytes))
}

func (c planContext) line() string {
	s := fmt.Sprintf("%d tokens", c.Length)
	if c.Scaling != "" {
		s += ", rope scaling " + c.Scaling
	}
	if c.Original > 0 && c.Original != c.Length {
		s += fmt.Sprintf(" from %d", c.Original)
	}
	if c.Window > 0 {
		s += fmt.Sprintf(", sliding window of %d", c.Window)
	}
	return s
}

func (d *planDoc) table() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"output", "bytes", "GiB", "GB", "bits/weight", "shards", ""})
	alignRight(t, 2, 6)
	row := func(s sizeDoc, name string) {
		note := s.Refused[strings.LastIndex(s.Refused, ": ")+1:] // the cause; the tensor is in the document
		switch {
		case s.Auto:
			note = "auto"
		case s.Imatrix:
			note = "needs an importance matrix"
		}
		note = strings.TrimSpace(note)
		if r := []rune(note); len(r) > 48 {
			note = string(r[:45]) + "..."
		}
		if s.Bytes == 0 {
			t.AppendRow(table.Row{name, "-", "-", "-", "-", "-", note})
			return
		}
		t.AppendRow(table.Row{name, s.Bytes, fmt.Sprintf("%.2f", s.GiB), fmt.Sprintf("%.2f", s.GB), fmt.Sprintf("%.3f", s.BPW), s.Shards, note})
	}
	for _, s := range d.Conversions {
		row(s, "convert "+s.Name)
	}
	for _, s := range d.Schemes {
		row(s, s.Name)
	}
	return t.Render()
}

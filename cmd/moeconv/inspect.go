package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/verify"
)

type inspectDoc struct {
	envelope
	Version    int             `json:"version"`
	Alignment  int64           `json:"alignment"`
	DataOffset int64           `json:"data_offset"`
	Bytes      int64           `json:"file_bytes"`
	Shards     int             `json:"shards"`
	Metadata   []gguf.KeyValue `json:"metadata"`
	Tensors    []tensorDoc     `json:"tensors"`
	Experts    expertsDoc      `json:"experts"`
	checksDoc
}

type tensorDoc struct {
	Name   string     `json:"name"`
	Type   string     `json:"type"`
	Shape  gguf.Shape `json:"shape"`
	Offset int64      `json:"offset"` // in the data section of its shard
	Shard  int        `json:"shard"`
	Bytes  int64      `json:"bytes"`
	Role   string     `json:"role"`
	SHA256 string     `json:"sha256,omitempty"`
}

type expertsDoc struct {
	Count   int    `json:"count"`
	Used    int    `json:"used"`
	Tensors int    `json:"tensors"`
	Layers  int    `json:"layers"`
	Bytes   int64  `json:"bytes"`
	Shared  int    `json:"shared_tensors"`
	Tagged  bool   `json:"tagged"`
	Problem string `json:"problem,omitempty"`
}

func inspectCmd(a *app) *cobra.Command {
	var hash, check bool
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show a file's metadata, tensors and experts",
		Long: `inspect reads the header of a GGUF file (any shard of a set) or plans a checkpoint
directory and shows the file that convert would write. The file may be of any
architecture.

--check holds the headers against what loaders insist on and prints the outcome: where
tensors lie, the architecture's load contract (tensors, shapes, keys; not applicable
to an architecture that is not known), the vocabulary, the experts' marks. Exit
status 3 when something fails.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open(args[0], sourceFlags{outType: "auto"})
			if err != nil && check && damaged(args[0], err) {
				return a.emitInspect(args[0], &inspectDoc{envelope: a.envelope(), checksDoc: newChecksDoc(unreadable(err), nil)})
			}
			if err != nil {
				return err
			}
			defer m.Close()
			doc := &inspectDoc{envelope: a.envelope(), Metadata: gguf.Describe(m.Metadata())}
			if err := doc.place(m); err != nil {
				return err
			}
			if hash {
				if err := doc.hash(cmd.Context(), a, m); err != nil {
					return err
				}
			}
			doc.experts(m)
			if check {
				doc.checksDoc = newChecksDoc(headerChecks(cmd.Context(), m.Source), advise(m.Source))
			}
			return a.emitInspect(args[0], doc)
		},
	}
	cmd.Flags().BoolVar(&hash, "hash", false, "add the SHA-256 of every tensor's bytes")
	cmd.Flags().BoolVar(&check, "check", false, "check structure, load contract, vocabulary and marks; exit status 3 when one fails")
	return cmd
}

// emitInspect prints the document; with checks, people see these alone.
func (a *app) emitInspect(file string, d *inspectDoc) error {
	if d.Checks == nil {
		return a.emit(d, d.print)
	}
	err := a.emit(d, func(w io.Writer) error {
		_, err := io.WriteString(w, d.table(file))
		return err
	})
	if err == nil && d.Status == verify.Fail {
		return checkError{file + " failed its checks"}
	}
	return err
}

// place fills in where tensors lie: in the file, or in the file that a plan would become.
func (d *inspectDoc) place(m *model) error {
	ts := m.Tensors()
	layout, err := gguf.Layout(m.Metadata(), ts)
	if err != nil {
		return err
	}
	d.Version, d.Alignment, d.DataOffset, d.Bytes, d.Shards = 3, layout.Alignment, layout.DataOffset, layout.Size, 1
	if m.file != nil {
		d.Version, d.Alignment, d.DataOffset = m.file.Version(), m.file.Alignment(), m.file.DataOffset()
		d.Bytes, d.Shards = m.file.Size(), len(m.file.Shards())
	}
	for i, t := range ts {
		doc := tensorDoc{Name: t.Name, Type: t.Type.String(), Shape: t.Shape, Offset: layout.Offsets[i],
			Bytes: t.Bytes(), Role: names.ClassOf(t.Name).String()}
		if m.file != nil {
			doc.Offset, doc.Shard = m.file.Offset(i), m.file.ShardOf(i)
		}
		d.Tensors = append(d.Tensors, doc)
	}
	return nil
}

func (d *inspectDoc) hash(ctx context.Context, a *app, m *model) error {
	progress, done := a.track("hash", false)
	defer done()
	for i := range d.Tensors {
		sum, err := gguf.TensorSHA256(ctx, m.Source, i)
		if err != nil {
			return err
		}
		d.Tensors[i].SHA256 = sum
		progress(int64(i+1), int64(len(d.Tensors)))
	}
	return nil
}

// experts states what the tensors show; a set that is not whole is a fact to report, not a reason to show nothing.
func (d *inspectDoc) experts(m *model) {
	sum, err := expert.Find(m.Metadata(), m.Tensors())
	if err != nil && !errors.Is(err, expert.ErrNone) {
		d.Experts.Problem = err.Error()
		return
	}
	_, tagged := m.Metadata().Get(expert.KeyNames)
	d.Experts = expertsDoc{Count: sum.Count, Used: sum.Used, Tensors: len(sum.Names), Layers: len(sum.Layers),
		Bytes: sum.Bytes, Shared: len(sum.Shared), Tagged: tagged}
}

func (d *inspectDoc) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "GGUF version %d, alignment %d, data at byte %d, %d shard(s), %s\n\n", d.Version, d.Alignment, d.DataOffset, d.Shards, formatBytes(d.Bytes))
	for _, kv := range d.Metadata {
		fmt.Fprintf(&b, "%-52s %-8s %s\n", kv.Key, kv.Type, valueText(kv))
	}
	b.WriteString("\n")
	for _, t := range d.Tensors {
		fmt.Fprintf(&b, "%-40s %-8s %-20s %12d bytes at %-12d %-15s %s\n", t.Name, t.Type, t.Shape, t.Bytes, t.Offset, t.Role, t.SHA256)
	}
	fmt.Fprintf(&b, "\n%d tensors", len(d.Tensors))
	switch e := d.Experts; {
	case e.Problem != "":
		fmt.Fprintf(&b, "; experts: %s\n", e.Problem)
	case e.Tensors == 0:
		b.WriteString("; no expert tensors\n")
	default:
		fmt.Fprintf(&b, "; %d experts, %d used; %d routed expert tensors in %d layers, %s; %d shared expert tensors; tagged: %t\n",
			e.Count, e.Used, e.Tensors, e.Layers, formatBytes(e.Bytes), e.Shared, e.Tagged)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shown bounds a value in the human table; --json has what it leaves out.
const shown = 72

func valueText(kv gguf.KeyValue) string {
	if kv.Len != nil && kv.Value == nil {
		return fmt.Sprintf("%s[%d] sha256 %.12s", strings.ToLower(kv.Elem), *kv.Len, kv.SHA256)
	}
	s := fmt.Sprint(kv.Value)
	if str, ok := kv.Value.(string); ok {
		s = fmt.Sprintf("%q", str)
	}
	if r := []rune(s); len(r) > shown {
		s = string(r[:shown-3]) + "..."
	}
	return s
}

package gguf

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
)

// DiffStatus is how a key or tensor of one model relates to the other's.
type DiffStatus string

// The statuses; their words are what `diff` prints.
const (
	Same      DiffStatus = "same"
	Different DiffStatus = "different"
	OnlyInA   DiffStatus = "only in A"
	OnlyInB   DiffStatus = "only in B"
)

// DiffEntry is one key or tensor.
type DiffEntry struct {
	Name   string     `json:"name"`
	Status DiffStatus `json:"status"`
	// Detail says what differs, of Different entries: type, shape, value, or the first byte of the data.
	Detail string `json:"detail,omitempty"`
}

// Difference lists the keys and tensors of A in A's order, then what only B has in B's.
type Difference struct {
	Metadata []DiffEntry `json:"metadata"`
	Tensors  []DiffEntry `json:"tensors"`
	// Reordered is true when the same tensors stand in another order; that alone is no difference.
	Reordered bool `json:"reordered"`
}

// Same reports whether every key and tensor is the same.
func (d *Difference) Same() bool { return d.Count(Same) == len(d.Metadata)+len(d.Tensors) }

// Count is the number of keys and tensors with a status.
func (d *Difference) Count(s DiffStatus) int {
	n := 0
	for _, list := range [][]DiffEntry{d.Metadata, d.Tensors} {
		for _, e := range list {
			if e.Status == s {
				n++
			}
		}
	}
	return n
}

// Print writes one line for each key and tensor that is not the same, then the sums.
func (d *Difference) Print(w io.Writer) error {
	var b bytes.Buffer
	for _, list := range []struct {
		what    string
		entries []DiffEntry
	}{{"key", d.Metadata}, {"tensor", d.Tensors}} {
		same := 0
		for _, e := range list.entries {
			switch e.Status {
			case Same:
				same++
			case Different:
				fmt.Fprintf(&b, "%s %s: %s: %s\n", list.what, e.Name, e.Status, e.Detail)
			default:
				fmt.Fprintf(&b, "%s %s: %s\n", list.what, e.Name, e.Status)
			}
		}
		fmt.Fprintf(&b, "%ss: %d same of %d\n", list.what, same, len(list.entries))
	}
	if d.Reordered {
		b.WriteString("tensors stand in another order\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Diff compares metadata values exactly (floats by their bits, so a NaN equals
// itself) and tensors byte by byte, reading both as streams. An error means
// that a or b could not be read, not that they differ.
func Diff(ctx context.Context, a, b Source) (*Difference, error) {
	d := &Difference{Metadata: diffMetadata(a.Metadata(), b.Metadata())}
	ta, tb := a.Tensors(), b.Tensors()
	index := make(map[string]int, len(tb))
	for i, t := range tb {
		index[t.Name] = i
	}
	last := -1
	for i, t := range ta {
		j, ok := index[t.Name]
		if !ok {
			d.Tensors = append(d.Tensors, DiffEntry{Name: t.Name, Status: OnlyInA})
			continue
		}
		delete(index, t.Name)
		d.Reordered = d.Reordered || j < last
		last = max(last, j)
		detail, err := diffTensor(ctx, a, i, b, j)
		if err != nil {
			return nil, err
		}
		d.Tensors = append(d.Tensors, entry(t.Name, detail))
	}
	for _, t := range tb {
		if _, left := index[t.Name]; left {
			d.Tensors = append(d.Tensors, DiffEntry{Name: t.Name, Status: OnlyInB})
		}
	}
	return d, nil
}

// entry is Same when there is no detail.
func entry(name, detail string) DiffEntry {
	if detail == "" {
		return DiffEntry{Name: name, Status: Same}
	}
	return DiffEntry{Name: name, Status: Different, Detail: detail}
}

func diffMetadata(a, b *Metadata) []DiffEntry {
	var out []DiffEntry
	for k, va := range a.All() {
		vb, ok := b.Get(k)
		if !ok {
			out = append(out, DiffEntry{Name: k, Status: OnlyInA})
			continue
		}
		out = append(out, entry(k, diffValue(va, vb)))
	}
	for k := range b.All() {
		if _, ok := a.Get(k); !ok {
			out = append(out, DiffEntry{Name: k, Status: OnlyInB})
		}
	}
	return out
}

// diffValue says how two values differ, "" when they do not. Encoded values are
// compared, which distinguishes exactly what a file distinguishes.
func diffValue(a, b any) string {
	if ta, tb := typeName(a), typeName(b); ta != tb {
		return fmt.Sprintf("type %s, %s", ta, tb)
	}
	var ea, eb encoder
	if ea.value(a, 0) != nil || eb.value(b, 0) != nil {
		return "a value that cannot be written"
	}
	if bytes.Equal(ea.Bytes(), eb.Bytes()) {
		return ""
	}
	if t, _, _ := TypeOf(a); t != ArrayType {
		return fmt.Sprintf("%s, %s", brief(a), brief(b))
	}
	if na, nb := sliceLen(a), sliceLen(b); na != nb {
		return fmt.Sprintf("%d elements, %d elements", na, nb)
	}
	return fmt.Sprintf("element %d of %d", firstElement(a, b), sliceLen(a))
}

// typeName is a value's type as DiffEntry.Detail and inspect show it: UINT32, ARRAY of STRING.
func typeName(v any) string {
	t, elem, _ := TypeOf(v)
	if t == ArrayType {
		return fmt.Sprintf("%v of %v", t, elem)
	}
	return t.String()
}

// brief is a scalar or the beginning of a string.
func brief(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 60 {
			return fmt.Sprintf("%.60q... (%d bytes)", v, len(v))
		}
		return fmt.Sprintf("%q", v)
	case float32:
		if v != v {
			return fmt.Sprintf("NaN (bits %08x)", math.Float32bits(v))
		}
	case float64:
		if v != v {
			return fmt.Sprintf("NaN (bits %016x)", math.Float64bits(v))
		}
	}
	return fmt.Sprint(v)
}

// firstElement is the index of the first element in which two arrays of one type and length differ.
func firstElement(a, b any) int {
	ea, eb := elements(a), elements(b)
	for i := range ea {
		var x, y encoder
		if x.value(ea[i], 0) == nil && y.value(eb[i], 0) == nil && !bytes.Equal(x.Bytes(), y.Bytes()) {
			return i
		}
	}
	return len(ea)
}

// diffTensor says how two tensors differ, "" when they do not.
func diffTensor(ctx context.Context, a Source, i int, b Source, j int) (string, error) {
	ta, tb := a.Tensors()[i], b.Tensors()[j]
	if ta.Type != tb.Type {
		return fmt.Sprintf("type %v, %v", ta.Type, tb.Type), nil
	}
	if !ta.Shape.Equal(tb.Shape) {
		return fmt.Sprintf("shape %v, %v", ta.Shape, tb.Shape), nil
	}
	at, err := firstDifference(newTensorReader(ctx, a, i), newTensorReader(ctx, b, j), ta.Bytes())
	if err != nil || at == ta.Bytes() {
		return "", err
	}
	return fmt.Sprintf("data from byte %d of %d", at, ta.Bytes()), nil
}

// firstDifference is the offset of the first byte in which two streams of n bytes differ, n when they do not.
func firstDifference(a, b io.Reader, n int64) (int64, error) {
	const chunk = 256 << 10
	p, q := make([]byte, min(n, chunk)), make([]byte, min(n, chunk))
	for at := int64(0); at < n; at += int64(len(p)) {
		p, q = p[:min(n-at, chunk)], q[:min(n-at, chunk)]
		if _, err := io.ReadFull(a, p); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(b, q); err != nil {
			return 0, err
		}
		if bytes.Equal(p, q) {
			continue
		}
		for i := range p {
			if p[i] != q[i] {
				return at + int64(i), nil
			}
		}
	}
	return n, nil
}

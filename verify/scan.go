package verify

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/block"
)

const (
	// zeroBlockShare is the share of all-zero quantization blocks above which an expert is reported.
	zeroBlockShare = 0.1
	// scanWhole is the size of files of which every value is decoded. Of larger ones every scale is looked at, which is
	// as much for NaN and infinities, and one value in scanShare is decoded to find zeros.
	scanWhole = 256 << 20
	scanShare = 16
)

// scanned is what the scan saw in one unit.
type scanned struct {
	bad         int64 // values that are NaN or infinite
	row, col    int   // of the first of them, within the unit
	nonzero     bool
	zero, total int64  // quantization blocks among those that were decoded
	part        bool   // not every block was decoded
	scales      error  // what the codec's validation says
	err         error  // reading failed
	sum         uint64 // of the encoded data
	skipped     bool
}

// sumSeed makes sums of equal data equal within this process.
var sumSeed = maphash.MakeSeed()

// checkScan looks at all of the file: NaN and infinities, scales, experts that are zero, experts that are the same.
func checkScan(ctx context.Context, s *Subject) Result {
	tensors := s.Source.Tensors()
	units := unitsOf(tensors)
	seen := make([]scanned, len(units))
	share := s.scanShare(tensors)
	if err := s.scan(ctx, units, seen, share); err != nil {
		return failure(err)
	}
	r := NewResult(Pass, "")
	var bad int64
	for i, u := range units {
		bad += seen[i].bad
		s.reportUnit(ctx, &r, tensors[u.tensor], u, seen[i])
	}
	s.reportDuplicates(ctx, &r, tensors, units, seen)
	s.reportSkipped(&r, tensors)
	r.Figure, r.Threshold = Number(bad), 0
	experts := 0
	for _, u := range units {
		if u.expert >= 0 {
			experts++
		}
	}
	r.figure("tensors", float64(len(tensors)))
	r.figure("expert_matrices", float64(experts))
	r.figure("decoded_share", 1/float64(share))
	r.summarize(fmt.Sprintf("%d tensors, %d expert matrices: all values finite, none zero, none twice", len(tensors), experts))
	return r
}

// scan looks at all units of the file: in the order of its bytes where it lies in files, else several units at a time.
func (s *Subject) scan(ctx context.Context, units []unit, seen []scanned, share int) error {
	readers := readersOf(s.Source, s.workers(s.Source))
	files, ok := s.Source.(filed)
	if ok {
		w := &sweep{src: s.Source, files: files, units: units, seen: seen, share: share, hashed: s.hashes, report: s.progress("scan")}
		if err := w.run(ctx, len(readers), s.memory()); err != nil {
			return err
		}
	}
	var done atomic.Int64
	report := s.progress("scan")
	return each(ctx, len(units), len(readers), func(w, i int) error {
		switch {
		case !ok:
			seen[i] = scanUnit(ctx, &readers[w], units[i], share)
			report(done.Add(1), int64(len(units)))
		case seen[i].undecided():
			seen[i] = scanUnit(ctx, &readers[w], units[i], 1)
		}
		return ctx.Err()
	})
}

// scanShare is one over the part of the values that the scan decodes.
func (s *Subject) scanShare(tensors []gguf.TensorInfo) int {
	var n int64
	for _, t := range tensors {
		n += t.Bytes()
	}
	if s.Full || n <= scanWhole {
		return 1
	}
	return scanShare
}

func scanUnit(ctx context.Context, rd *reader, u unit, share int) scanned {
	t := rd.src.Tensors()[u.tensor]
	if !readable(t.Type) {
		return scanned{skipped: true}
	}
	var out scanned
	step := rd.step(u.tensor, t)
	for row := u.row; row < u.row+u.rows && out.err == nil; row += step {
		n := min(step, u.row+u.rows-row)
		if out.err = rd.fetch(ctx, u.tensor, row, n); out.err == nil {
			out.err = out.slab(rd, t, row-u.row, share)
		}
	}
	if out.undecided() {
		return scanUnit(ctx, rd, u, 1)
	}
	return out
}

// undecided reports whether there were zeros alone in what was decoded, so that the rest must be looked at.
func (s *scanned) undecided() bool { return s.err == nil && s.part && !s.nonzero && s.bad == 0 }

// join takes in what was seen in other rows of the unit.
func (s *scanned) join(o scanned) {
	if o.bad > 0 && (s.bad == 0 || o.row < s.row) {
		s.row, s.col = o.row, o.col
	}
	if s.scales == nil {
		s.scales = o.scales
	}
	if s.err == nil {
		s.err = o.err
	}
	s.bad, s.zero, s.total, s.sum = s.bad+o.bad, s.zero+o.zero, s.total+o.total, s.sum+o.sum
	s.nonzero, s.part = s.nonzero || o.nonzero, s.part || o.part
}

// slab takes in the rows in rd.raw, the first of which is row of the unit.
func (s *scanned) slab(rd *reader, t gguf.TensorInfo, row, share int) error {
	s.sum += sumOf(rd.raw, row)
	finite := !beyondF32(t.Type, rd.raw)
	if err := block.Validate(t.Type, rd.raw); err != nil {
		if s.scales == nil {
			s.scales = err
		}
		finite = false
	}
	if !finite {
		share = 1
	}
	ne0, size := int(t.Shape.NE(0)), int(t.RowBytes())
	rows := len(rd.raw) / size
	n := (rows + share - 1) / share
	s.part = s.part || n < rows
	vals, err := rd.decode(t, rd.raw[:n*size])
	if err != nil {
		return err
	}
	if !finite {
		s.infinities(vals, row, ne0)
	}
	s.values(vals, t.Type.BlockLen())
	return nil
}

// sumOf is a sum of rows, the first of which is row of its unit. Those of a unit's slabs are added up in any order.
func sumOf(raw []byte, row int) uint64 {
	const mix = 0x9e3779b97f4a7c15
	return maphash.Bytes(sumSeed, raw) * (uint64(row)*mix | 1)
}

// values counts blocks of zeros.
func (s *scanned) values(vals []float32, length int) {
	for at := 0; at < len(vals); at += length {
		s.total++
		if nonzero(vals[at : at+length]) {
			s.nonzero = true
		} else {
			s.zero++
		}
	}
}

// infinities counts values that are not finite.
func (s *scanned) infinities(vals []float32, row, ne0 int) {
	for i, v := range vals {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			if s.bad == 0 {
				s.row, s.col = row+i/ne0, i%ne0
			}
			s.bad++
		}
	}
}

// beyondF32 reports whether a block has a finite scale with which its values can be infinite: those of MXFP4 reach 2^127
// and are multiplied by up to 6.
func beyondF32(t gguf.Type, raw []byte) bool {
	if t != gguf.MXFP4 {
		return false
	}
	for at := 0; at < len(raw); at += t.BlockSize() {
		if raw[at] > 251 {
			return true
		}
	}
	return false
}

// reportUnit files the problems of one unit.
func (s *Subject) reportUnit(ctx context.Context, r *Result, t gguf.TensorInfo, u unit, seen scanned) {
	find := func(warn bool, damage, format string, args ...any) {
		r.Find(Problem{Tensor: t.Name, Expert: u.expert, Message: fmt.Sprintf(format, args...), Damage: damage, warn: warn})
	}
	weight := names.Parse(t.Name).Suffix == "weight"
	switch {
	case seen.skipped:
	case seen.err != nil:
		find(false, "unreadable", "%v", seen.err)
	case seen.bad > 0:
		find(false, "nan", "%d values are NaN or infinite, the first in row %d, column %d%s", seen.bad, seen.row, seen.col, scaleNote(t, seen))
	case seen.scales != nil:
		find(false, "nan", "%v", seen.scales)
	case !seen.nonzero && weight:
		if s.zeroInReference(ctx, t.Name, u) {
			find(true, "zero", "all values are zero, as in the source")
		} else {
			find(false, "zero", "all values are zero")
		}
	case u.expert >= 0 && weight && t.Type.Quantized() && float64(seen.zero) > zeroBlockShare*float64(seen.total):
		find(true, "zero-blocks", "%d of %d quantization blocks are zero", seen.zero, seen.total)
	}
}

// scaleNote says whether it is a scale that makes values not finite.
func scaleNote(t gguf.TensorInfo, seen scanned) string {
	if seen.scales == nil || !t.Type.Quantized() {
		return ""
	}
	return ": a block scale is NaN or infinite"
}

// reportDuplicates files experts of one tensor that hold the same bytes.
func (s *Subject) reportDuplicates(ctx context.Context, r *Result, tensors []gguf.TensorInfo, units []unit, seen []scanned) {
	type key struct {
		tensor int
		sum    uint64
	}
	first := map[key]unit{}
	for i, u := range units {
		t := tensors[u.tensor]
		if u.expert < 0 || seen[i].skipped || seen[i].err != nil || !seen[i].nonzero || names.Parse(t.Name).Suffix != "weight" {
			continue
		}
		k := key{u.tensor, seen[i].sum}
		twin, ok := first[k]
		if !ok {
			first[k] = u
			continue
		}
		if !equal(ctx, s.Source, u, twin) {
			continue
		}
		p := Problem{Tensor: t.Name, Expert: u.expert, Message: fmt.Sprintf("the same values as expert %d", twin.expert), Damage: "expert-twice"}
		if s.twinsInReference(ctx, t.Name, u, twin) {
			p.Message += ", as in the source"
			p.warn = true
		}
		r.Find(p)
	}
}

// equal compares two experts of a tensor byte by byte.
func equal(ctx context.Context, src gguf.Source, a, b unit) bool {
	x, y := reader{src: src}, reader{src: src}
	step := x.step(a.tensor, src.Tensors()[a.tensor])
	for row := 0; row < a.rows; row += step {
		n := min(step, a.rows-row)
		if x.fetch(ctx, a.tensor, a.row+row, n) != nil || y.fetch(ctx, b.tensor, b.row+row, n) != nil || !bytes.Equal(x.raw, y.raw) {
			return false
		}
	}
	return true
}

// reportSkipped warns of types that this version cannot decode.
func (s *Subject) reportSkipped(r *Result, tensors []gguf.TensorInfo) {
	var types []string
	count := map[gguf.Type]int{}
	total := 0
	for _, t := range tensors {
		if readable(t.Type) || integer(t.Type) {
			continue
		}
		if count[t.Type] == 0 {
			types = append(types, t.Type.String())
		}
		count[t.Type]++
		total++
	}
	if total > 0 {
		r.Find(Problem{Expert: -1, warn: true, Message: fmt.Sprintf("%d tensors were not looked at: no decoder for %s", total, strings.Join(types, ", "))})
	}
}

// referenceUnit is the same unit of the reference.
func (s *Subject) referenceUnit(name string, u unit) (unit, bool) {
	if s.Reference == nil {
		return unit{}, false
	}
	i := gguf.Find(s.Reference.Tensors(), name)
	if i < 0 || s.Reference.Tensors()[i].Shape.Rows() < int64(u.row+u.rows) {
		return unit{}, false
	}
	return unit{i, u.expert, u.row, u.rows}, true
}

func (s *Subject) zeroInReference(ctx context.Context, name string, u unit) bool {
	ref, ok := s.referenceUnit(name, u)
	if !ok {
		return false
	}
	seen := scanUnit(ctx, &reader{src: s.Reference}, ref, scanShare)
	return !seen.skipped && seen.err == nil && !seen.nonzero
}

func (s *Subject) twinsInReference(ctx context.Context, name string, a, b unit) bool {
	x, ok := s.referenceUnit(name, a)
	y, ok2 := s.referenceUnit(name, b)
	return ok && ok2 && equal(ctx, s.Reference, x, y)
}

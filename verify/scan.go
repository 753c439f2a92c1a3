package verify

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"math"
	"strings"
	"sync/atomic"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/block"
)

// zeroBlockShare is the share of all-zero quantization blocks above which an expert is reported.
const zeroBlockShare = 0.1

// scanned is what the scan saw in one unit.
type scanned struct {
	bad         int64 // values that are NaN or infinite
	row, col    int   // of the first of them, within the unit
	nonzero     bool
	zero, total int64 // quantization blocks
	scales      error // what the codec's validation says
	err         error // reading failed
	sum         [sha256.Size]byte
	skipped     bool
}

// checkScan decodes every value of the file: NaN and infinities, scales, experts that are zero, experts that are the same.
func checkScan(ctx context.Context, s *Subject) Result {
	tensors := s.Source.Tensors()
	units := unitsOf(tensors)
	seen := make([]scanned, len(units))
	readers := s.readers(s.Source)
	var done atomic.Int64
	report := s.progress("scan")
	err := each(ctx, len(units), len(readers), func(w, i int) error {
		seen[i] = scanUnit(ctx, &readers[w], units[i])
		report(done.Add(1), int64(len(units)))
		return ctx.Err()
	})
	if err != nil {
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
	r.summarize(fmt.Sprintf("%d tensors, %d expert matrices: all values finite, none zero, none twice", len(tensors), experts))
	return r
}

func scanUnit(ctx context.Context, rd *reader, u unit) scanned {
	t := rd.src.Tensors()[u.tensor]
	if !readable(t.Type) {
		return scanned{skipped: true}
	}
	var out scanned
	h := sha256.New()
	out.err = rd.slabs(ctx, u.tensor, u.row, u.rows, func(row, n int, raw []byte, vals []float32) error {
		out.slab(t, row-u.row, raw, vals, h)
		return nil
	})
	h.Sum(out.sum[:0])
	return out
}

// slab takes in rows from row (of the unit) on.
func (s *scanned) slab(t gguf.TensorInfo, row int, raw []byte, vals []float32, h hash.Hash) {
	h.Write(raw)
	ne0, length := int(t.Shape.NE(0)), t.Type.BlockLen()
	for at := 0; at < len(vals); at += length {
		zero := true
		for i, v := range vals[at : at+length] {
			if v != 0 {
				zero = false
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					if s.bad == 0 {
						s.row, s.col = row+(at+i)/ne0, (at+i)%ne0
					}
					s.bad++
				}
			}
		}
		s.total++
		if zero {
			s.zero++
		} else {
			s.nonzero = true
		}
	}
	if err := block.Validate(t.Type, raw); err != nil && s.scales == nil {
		s.scales = err
	}
}

// reportUnit files the problems of one unit.
func (s *Subject) reportUnit(ctx context.Context, r *Result, t gguf.TensorInfo, u unit, seen scanned) {
	find := func(warn bool, format string, args ...any) {
		r.Find(Problem{Tensor: t.Name, Expert: u.expert, Message: fmt.Sprintf(format, args...), warn: warn})
	}
	weight := names.Parse(t.Name).Suffix == "weight"
	switch {
	case seen.skipped:
	case seen.err != nil:
		find(false, "%v", seen.err)
	case seen.bad > 0:
		find(false, "%d values are NaN or infinite, the first in row %d, column %d", seen.bad, seen.row, seen.col)
	case seen.scales != nil:
		find(false, "%v", seen.scales)
	case !seen.nonzero && weight:
		if s.zeroInReference(ctx, t.Name, u) {
			find(true, "all values are zero, as in the source")
		} else {
			find(false, "all values are zero")
		}
	case u.expert >= 0 && weight && t.Type.Quantized() && float64(seen.zero) > zeroBlockShare*float64(seen.total):
		find(true, "%d of %d quantization blocks are zero", seen.zero, seen.total)
	}
}

// reportDuplicates files experts of one tensor that hold the same bytes.
func (s *Subject) reportDuplicates(ctx context.Context, r *Result, tensors []gguf.TensorInfo, units []unit, seen []scanned) {
	type key struct {
		tensor int
		sum    [sha256.Size]byte
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
		p := Problem{Tensor: t.Name, Expert: u.expert, Message: fmt.Sprintf("the same values as expert %d", twin.expert)}
		if s.twinsInReference(ctx, t.Name, u, twin) {
			p.Message += ", as in the source"
			p.warn = true
		}
		r.Find(p)
	}
}

// reportSkipped warns of types that this version cannot decode.
func (s *Subject) reportSkipped(r *Result, tensors []gguf.TensorInfo) {
	var types []string
	count := map[gguf.Type]int{}
	for _, t := range tensors {
		if readable(t.Type) || integer(t.Type) {
			continue
		}
		if count[t.Type] == 0 {
			types = append(types, t.Type.String())
		}
		count[t.Type]++
	}
	if len(types) > 0 {
		total := 0
		for _, n := range count {
			total += n
		}
		r.Find(Problem{Expert: -1, warn: true, Message: fmt.Sprintf("%d tensors were not looked at: no decoder for %s", total, strings.Join(types, ", "))})
	}
}

// referenceUnit scans the same unit of the reference.
func (s *Subject) referenceUnit(ctx context.Context, name string, u unit) (scanned, bool) {
	if s.Reference == nil {
		return scanned{}, false
	}
	i := gguf.Find(s.Reference.Tensors(), name)
	if i < 0 || s.Reference.Tensors()[i].Shape.Rows() < int64(u.row+u.rows) {
		return scanned{}, false
	}
	rd := reader{src: s.Reference}
	seen := scanUnit(ctx, &rd, unit{i, u.expert, u.row, u.rows})
	return seen, !seen.skipped && seen.err == nil
}

func (s *Subject) zeroInReference(ctx context.Context, name string, u unit) bool {
	seen, ok := s.referenceUnit(ctx, name, u)
	return ok && !seen.nonzero
}

func (s *Subject) twinsInReference(ctx context.Context, name string, a, b unit) bool {
	x, ok := s.referenceUnit(ctx, name, a)
	y, ok2 := s.referenceUnit(ctx, name, b)
	return ok && ok2 && x.sum == y.sum
}

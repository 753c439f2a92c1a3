package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
)

// checkContract asks whether a loader finds the metadata, names and shapes it insists on, and complete sets of experts.
func checkContract(_ context.Context, s *Subject) Result {
	md, tensors := s.Source.Metadata(), s.Source.Tensors()
	r := NewResult(Pass, "")
	sum, err := expert.Find(md, tensors)
	if err != nil {
		r.Find(Problem{Expert: -1, Message: err.Error()})
	}
	err = family.CheckContract(md, tensors)
	var breach *family.ContractError
	var unknown *gguf.UnsupportedError
	switch {
	case errors.As(err, &breach):
		r.Find(Problem{Tensor: breach.Tensor, Expert: -1, Message: breach.Msg})
	case errors.As(err, &unknown) && r.Status == Pass:
		return Resultf(NotApplicable, "%v", err)
	case err != nil:
		r.Find(Problem{Expert: -1, Message: err.Error()})
	}
	arch, _ := md.Architecture()
	r.summarize(fmt.Sprintf("%s: %d tensors, %d experts in %d layers", arch, len(tensors), sum.Count, len(sum.Layers)))
	return r
}

// extent is where a tensor's bytes lie.
type extent struct {
	name   string
	off, n int64
}

// checkStored asks whether every tensor has its bytes to itself, aligned and inside of the file.
func checkStored(_ context.Context, s *Subject) Result {
	r := NewResult(Pass, "")
	tensors := s.Source.Tensors()
	names := map[string]bool{}
	for _, t := range tensors {
		if names[t.Name] {
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: "the name is given twice"})
		}
		names[t.Name] = true
	}
	ranger, ok := s.Source.(gguf.Ranger)
	if !ok {
		if r.Status == Fail {
			r.summarize("")
			return r
		}
		return NewResult(NotApplicable, "not a file")
	}
	files := map[io.ReaderAt][]extent{}
	for i, t := range tensors {
		file, off, n, ok := ranger.Range(i)
		if !ok {
			continue
		}
		if want := t.Bytes(); n < want {
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: fmt.Sprintf("%d bytes are stored, type and shape need %d", n, want)})
		}
		files[file] = append(files[file], extent{t.Name, off, t.Bytes()})
	}
	align := int64(1)
	if f, ok := s.Source.(interface{ Alignment() int64 }); ok {
		align = max(1, f.Alignment())
	}
	for file, extents := range files {
		checkExtents(&r, file, extents, align)
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return cmp.Compare(a.Tensor, b.Tensor) })
	r.summarize(fmt.Sprintf("%d tensors, aligned to %d bytes, none overlap", len(tensors), align))
	return r
}

// checkExtents holds the tensors of one file against their neighbours and the file's end.
func checkExtents(r *Result, file io.ReaderAt, extents []extent, align int64) {
	slices.SortFunc(extents, func(a, b extent) int { return cmp.Compare(a.off, b.off) })
	for i, e := range extents {
		find := func(format string, args ...any) {
			r.Find(Problem{Tensor: e.name, Expert: -1, Message: fmt.Sprintf(format, args...)})
		}
		if e.off%align != 0 {
			find("its data begin at byte %d, not a multiple of %d", e.off, align)
		}
		if i+1 < len(extents) && extents[i+1].off-e.off < e.n {
			find("%d bytes lie between it and %q, it needs %d", extents[i+1].off-e.off, extents[i+1].name, e.n)
		}
		var last [1]byte
		if n, err := file.ReadAt(last[:], e.off+e.n-1); n != 1 {
			find("data is not within the file bounds: %v", err)
		}
	}
}

package verify

import (
	"context"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
)

// Header lists the checks that read headers only, in the order in which a loader would stumble.
func Header() []Check {
	return []Check{
		{Name: "structure", Structural: true, Run: checkStructure},
		{Name: "contract", Structural: true, Run: checkContract},
		{Name: "vocabulary", Structural: true, Run: checkVocabulary},
		{Name: "marks", Structural: true, Run: checkMarks},
	}
}

// checkStructure is checkStored, and asks what follows the last tensor.
func checkStructure(ctx context.Context, s *Subject) Result {
	r := checkStored(ctx, s)
	f, ok := s.Source.(*gguf.File)
	if !ok {
		return r
	}
	shards := f.Shards()
	ends := make([]int64, len(shards))
	for i := range shards {
		ends[i] = shards[i].DataOffset
	}
	for i := range f.Tensors() {
		if _, off, n, ok := f.Range(i); ok {
			shard := f.ShardOf(i)
			ends[shard] = max(ends[shard], off+n)
		}
	}
	align := f.Alignment()
	for i, sh := range shards {
		if extra := sh.Size - (ends[i]+align-1)/align*align; extra > 0 {
			r.Find(Problem{Expert: -1, warn: true, Message: fmt.Sprintf("%s: %d bytes follow the last tensor", sh.Path, extra)})
		}
	}
	if len(r.Problems) > 0 {
		r.summarize("")
	}
	return r
}

// checkMarks asks whether the experts' marks in the metadata are true.
func checkMarks(_ context.Context, s *Subject) Result {
	md, tensors := s.Source.Metadata(), s.Source.Tensors()
	marks, tagged, err := expert.Read(md)
	if err == nil && !tagged {
		return NewResult(NotApplicable, "the file is not tagged")
	}
	if err == nil {
		err = expert.Check(md, tensors)
	}
	if err != nil {
		return failure(err)
	}
	return Resultf(Pass, "%d expert tensors in %d layers are marked", marks.Tensors, len(marks.Layers))
}

package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Checkpoint is the source's own files. Those who verify several files of one model share it: the check of the source is
// made once.
type Checkpoint struct {
	Files fs.FS
	// Digests are hashes of files by name, in hex: SHA-256 as the Hub has them of LFS files, or git's SHA-1. Where the
	// download left its own record beside the files (HuggingFace's cache, or --local-dir), that counts too.
	Digests map[string]string
	// Err is why the source could not be opened, where Damaged says that its files are at fault; then there is no Reference.
	Err error

	mu      sync.Mutex
	checked *Result
}

// checkSource asks whether the source is whole: its files, their hashes where those are known, and its values. What is
// wrong with the source itself cannot be held against the file, so zero and equal experts are warnings.
func checkSource(ctx context.Context, s *Subject) Result {
	c := s.Checkpoint
	if c != nil && c.Err != nil {
		r := NewResult(Pass, "")
		r.Find(Problem{Expert: -1, Message: c.Err.Error(), Damage: Damaged(c.Err)})
		r.summarize("")
		return r
	}
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source")
	}
	if c == nil {
		return s.examineSource(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checked == nil {
		r := s.examineSource(ctx)
		if ctx.Err() != nil {
			return r
		}
		c.checked = &r
	}
	return *c.checked
}

// Damaged names the damage that keeps a source from being opened: truncated, incomplete. It is empty where err says nothing
// about weights: no such folder, a family that is not known.
func Damaged(err error) string {
	var (
		format *gguf.FormatError
		weight *safetensors.FormatError
		expert *convert.MissingExpertError
		tensor *convert.MissingTensorError
		layers *convert.MissingLayersError
		shape  *convert.ShapeError
	)
	switch {
	case errors.As(err, &format), errors.As(err, &weight):
		return "truncated"
	case errors.As(err, &expert), errors.As(err, &tensor), errors.As(err, &layers):
		return "incomplete"
	case errors.As(err, &shape):
		return "shape"
	}
	return ""
}

func (s *Subject) examineSource(ctx context.Context) Result {
	r := NewResult(Pass, "")
	what := "not a checkpoint"
	if s.Checkpoint != nil {
		var err error
		if what, err = s.checkFiles(ctx, &r); err != nil {
			return failure(err)
		}
	}
	values, err := s.checkSourceValues(ctx, &r)
	if err != nil {
		return failure(err)
	}
	r.summarize(what + "; " + values)
	return r
}

// checkFiles holds the weight files against the index and the known hashes.
func (s *Subject) checkFiles(ctx context.Context, r *Result) (string, error) {
	ckpt, err := safetensors.Open(s.Checkpoint.Files)
	if err != nil {
		return "", err
	}
	defer ckpt.Close()
	var total, size int64
	for _, t := range ckpt.Tensors() {
		total += t.Size
	}
	for _, sh := range ckpt.Shards() {
		size += sh.Size
	}
	if want, ok := indexSize(s.Checkpoint.Files); ok && want != total {
		r.Find(Problem{Expert: -1, warn: true, Damage: "index", Message: fmt.Sprintf("the index counts %d bytes of tensors, its shards hold %d", want, total)})
	}
	r.figure("shards", float64(len(ckpt.Shards())))
	hashed, err := s.checkDigests(ctx, r, ckpt.Shards(), size)
	return fmt.Sprintf("%d weight files complete, %s", len(ckpt.Shards()), hashed), err
}

// indexSize is what the index says all tensors take.
func indexSize(files fs.FS) (int64, bool) {
	text, err := fs.ReadFile(files, "model.safetensors.index.json")
	if err != nil {
		return 0, false
	}
	var index struct {
		Metadata struct {
			TotalSize json.Number `json:"total_size"`
		} `json:"metadata"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if d.Decode(&index) != nil {
		return 0, false
	}
	n, err := index.Metadata.TotalSize.Int64()
	return n, err == nil
}

// checkSourceValues says what was seen in the source's values, all or those of the sample.
func (s *Subject) checkSourceValues(ctx context.Context, r *Result) (string, error) {
	l, err := s.lineup(ctx)
	if err != nil {
		return "", err
	}
	for i, u := range l.units {
		s.reportSourceUnit(r, l.refs[u.tensor], u, l.seen[i])
	}
	s.reportSourceTwins(ctx, r, l.refs, l.units, l.seen)
	if l.sampler.whole() {
		return "all values finite, no expert zero or twice", nil
	}
	return fmt.Sprintf("%.2g%% of all values looked at (seed %d): finite, no expert zero or twice", 100*l.sampler.share, l.sampler.seed), nil
}

func (s *Subject) reportSourceUnit(r *Result, t gguf.TensorInfo, u unit, seen scanned) {
	p := Problem{Tensor: t.Name, Expert: u.expert}
	var weight *convert.WeightError
	switch {
	case errors.As(seen.err, &weight):
		p.Message, p.Damage = seen.err.Error(), "nan"
	case seen.err != nil:
		p.Message, p.Damage = seen.err.Error(), "unreadable"
	case seen.bad > 0:
		p.Message, p.Damage = fmt.Sprintf("%d values are NaN or infinite, the first in row %d, column %d", seen.bad, seen.row, seen.col), "nan"
	case seen.scales != nil:
		p.Message, p.Damage = seen.scales.Error(), "nan"
	case !seen.skipped && !seen.nonzero && u.expert >= 0 && names.Parse(t.Name).Suffix == "weight":
		p.Message, p.Damage, p.warn = "all values of the source are zero", "zero", true
	default:
		return
	}
	r.Find(p)
}

// reportSourceTwins files experts of the source that are the same.
func (s *Subject) reportSourceTwins(ctx context.Context, r *Result, tensors []gguf.TensorInfo, units []unit, seen []scanned) {
	type key struct {
		tensor int
		sum    uint64
	}
	first := map[key]unit{}
	for i, u := range units {
		if u.expert < 0 || seen[i].err != nil || seen[i].skipped || !seen[i].nonzero || names.Parse(tensors[u.tensor].Name).Suffix != "weight" {
			continue
		}
		k := key{u.tensor, seen[i].sum}
		twin, ok := first[k]
		if !ok {
			first[k] = u
		} else if equal(ctx, s.Reference, u, twin) {
			r.Find(Problem{Tensor: tensors[u.tensor].Name, Expert: u.expert, warn: true, Damage: "expert-twice", Message: fmt.Sprintf("the source has the same values as in expert %d", twin.expert)})
		}
	}
}

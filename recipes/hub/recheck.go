package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

const (
	wholeBelow = 64 << 20 // files of no more bytes are always read back whole
	samples    = 16       // ranges read back of a larger one, the first and the last bytes among them
	sampleLen  = 64 << 10
)

// Recheck holds what the Hub has at a commit against the files on disk: names, sizes and hashes of the list, and bytes
// read back. head tells how many first bytes of a file, its header, are compared in any case; ranges over the whole file
// follow, or all of it where it is small or full is set. Each error names its file; *CorruptError for differences.
func (f *FS) Recheck(ctx context.Context, adds []Addition, head func(Addition) (int64, error), full bool) error {
	var errs []error
	for _, a := range adds {
		if err := f.recheck(ctx, a, head, full); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return errors.Join(errs...)
}

func (f *FS) recheck(ctx context.Context, a Addition, head func(Addition) (int64, error), full bool) error {
	e, ok := f.files[a.Path]
	if !ok {
		return f.corrupt(a, "the file is not there after its commit")
	}
	if e.size >= 0 && e.size != a.Size {
		return f.corrupt(a, "the Hub's file has %d bytes, the one here %d", e.size, a.Size)
	}
	if e.sha256 != "" && e.sha256 != a.SHA256 {
		return f.corrupt(a, "the Hub's file has the hash %s, the one here %s", e.sha256, a.SHA256)
	}
	if full || a.Size <= wholeBelow {
		return f.recheckWhole(ctx, e, a)
	}
	n, err := head(a)
	if err != nil {
		return err
	}
	local, err := os.Open(a.File)
	if err != nil {
		return err
	}
	defer local.Close()
	for _, r := range ranges(a.Size, n) {
		if err := f.compare(e, local, a, r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

// ranges are the header and pieces evenly over a file, each as offset and length.
func ranges(size, head int64) [][2]int64 {
	out := [][2]int64{{0, min(head, size)}}
	for i := range int64(samples) {
		out = append(out, [2]int64{i * (size - sampleLen) / (samples - 1), sampleLen})
	}
	return out
}

func (f *FS) compare(e *entry, local *os.File, a Addition, off, n int64) error {
	const step = 8 << 20
	for end := off + n; off < end; off += step {
		here, there := make([]byte, min(step, end-off)), make([]byte, min(step, end-off))
		if _, err := local.ReadAt(here, off); err != nil {
			return err
		}
		if _, err := e.fetch(there, off); err != nil {
			return err
		}
		if !bytes.Equal(here, there) {
			i := 0
			for here[i] == there[i] {
				i++
			}
			return f.corrupt(a, "byte %d of the Hub's file is not the byte of the one here", off+int64(i))
		}
	}
	return nil
}

// recheckWhole downloads a file to hash it.
func (f *FS) recheckWhole(ctx context.Context, e *entry, a Addition) error {
	h := sha256.New()
	buf := make([]byte, min(8<<20, a.Size))
	for off := int64(0); off < a.Size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := buf[:min(int64(len(buf)), a.Size-off)]
		if _, err := e.fetch(p, off); err != nil {
			return err
		}
		h.Write(p)
		off += int64(len(p))
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != a.SHA256 {
		return f.corrupt(a, "what the Hub sends has the hash %s, the file here %s", got, a.SHA256)
	}
	return nil
}

func (f *FS) corrupt(a Addition, format string, args ...any) error {
	at := f.repo
	if f.commit != "" {
		at.Revision = f.commit
	}
	return &CorruptError{Repo: at, What: a.Path, Msg: fmt.Sprintf(format, args...)}
}

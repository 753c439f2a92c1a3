package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/moeconv/moeconv/gguf"
)

// filed is a source that lies in files, which can be read from front to back.
type filed interface {
	Shards() []gguf.Shard
	ShardOf(tensor int) int
	ShardData(shard int) io.ReaderAt
	Offset(tensor int) int64
}

// piece is rows of one unit as they lie in a file, or bytes that are no tensor's: the header, and what pads tensors.
type piece struct {
	unit   int // -1: no tensor's
	row    int // the first, within the unit
	off, n int64
}

// slab is a piece that was read; it is free again when all users are done with it.
type slab struct {
	piece
	shard int
	data  []byte
	err   error
	users atomic.Int32
}

// sweep reads a file from front to back, once: units are scanned and, where hashes are wanted, all bytes are hashed on the way.
type sweep struct {
	src    gguf.Source
	files  filed
	units  []unit
	seen   []scanned
	share  int
	hashed map[string]string // SHA-256 by path; nil: not wanted. A file that could not be read whole is not in it.
	report func(done, total int64)

	mu         sync.Mutex
	pieces     int64 // all of them
	done       atomic.Int64
	free       chan *slab
	scan, hash chan *slab
}

// slabs is how many slabs are read ahead, where memory allows.
const slabs = 32

// run scans every unit. Slabs take a quarter of memory at most, but three are there in any case.
func (w *sweep) run(ctx context.Context, workers int, memory int64) error {
	var all [][]piece
	var most int64
	for i := range w.files.Shards() {
		ps := w.piecesOf(i)
		all = append(all, ps)
		w.pieces += int64(len(ps))
		for _, p := range ps {
			most = max(most, p.n)
		}
	}
	n := int(max(3, min(slabs, memory/4/max(1, most))))
	w.free, w.scan, w.hash = make(chan *slab, n), make(chan *slab, n), make(chan *slab, n)
	for range n {
		w.free <- &slab{}
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			rd := reader{src: w.src}
			for b := range w.scan {
				w.take(&rd, b)
				w.release(b)
			}
		})
	}
	wg.Go(w.sum)
	err := w.read(ctx, all)
	close(w.scan)
	close(w.hash)
	wg.Wait()
	return err
}

// piecesOf takes a shard apart, in the order of its bytes.
func (w *sweep) piecesOf(shard int) []piece {
	var out []piece
	tensors, s := w.src.Tensors(), w.files.Shards()[shard]
	for i, u := range w.units {
		if w.files.ShardOf(u.tensor) != shard {
			continue
		}
		t := tensors[u.tensor]
		w.seen[i].skipped = !readable(t.Type)
		if w.seen[i].skipped {
			continue
		}
		step, at := stepOf(w.src, u.tensor, t), s.DataOffset+w.files.Offset(u.tensor)
		for row := 0; row < u.rows; row += step {
			n := int64(min(step, u.rows-row))
			out = append(out, piece{i, row, at + int64(u.row+row)*t.RowBytes(), n * t.RowBytes()})
		}
	}
	slices.SortStableFunc(out, func(a, b piece) int { return cmp.Compare(a.off, b.off) })
	if w.hashed == nil {
		return out
	}
	var whole []piece
	var at int64
	fill := func(to int64) {
		for ; at < to; at += slabBytes {
			whole = append(whole, piece{-1, 0, at, min(slabBytes, to-at)})
		}
		at = max(at, to)
	}
	for _, p := range out {
		fill(p.off)
		at = max(at, p.off+p.n)
		whole = append(whole, p)
	}
	fill(s.Size)
	return whole
}

// read sends slabs to those who use them.
func (w *sweep) read(ctx context.Context, all [][]piece) error {
	for shard, pieces := range all {
		in := w.files.ShardData(shard)
		for _, p := range pieces {
			var b *slab
			select {
			case b = <-w.free:
			case <-ctx.Done():
				return ctx.Err()
			}
			b.piece, b.shard, b.data = p, shard, resize(b.data, int(p.n))
			n, err := in.ReadAt(b.data, p.off)
			if b.err = nil; n < len(b.data) {
				if b.err = err; errors.Is(err, io.EOF) {
					b.err = io.ErrUnexpectedEOF // the file was whole when it was opened
				}
			}
			b.users.Store(2)
			w.hash <- b
			w.scan <- b
		}
	}
	return nil
}

func (w *sweep) release(b *slab) {
	if b.users.Add(-1) == 0 {
		w.free <- b
	}
}

// take scans a slab.
func (w *sweep) take(rd *reader, b *slab) {
	if b.unit >= 0 {
		var s scanned
		if s.err = b.err; s.err == nil {
			rd.raw = b.data
			s.err = s.slab(rd, w.src.Tensors()[w.units[b.unit].tensor], b.row, w.share)
		}
		w.mu.Lock()
		w.seen[b.unit].join(s)
		w.mu.Unlock()
	}
	w.report(w.done.Add(1), w.pieces)
}

// sum hashes slabs as they come.
func (w *sweep) sum() {
	var (
		h     hash.Hash
		at    int64
		shard = -1
		whole bool
	)
	finish := func() {
		if s := w.files.Shards(); shard >= 0 && whole && at == s[shard].Size {
			w.hashed[s[shard].Path] = hex.EncodeToString(h.Sum(nil))
		}
	}
	for b := range w.hash {
		if w.hashed != nil {
			if b.shard != shard {
				finish()
				h, at, shard, whole = sha256.New(), 0, b.shard, true
			}
			whole = whole && b.err == nil && b.off == at
			h.Write(b.data)
			at += b.n
		}
		w.release(b)
	}
	if w.hashed != nil {
		finish()
	}
}

package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	readAhead = 128 << 10 // fetched at least, and the first guess at a header's length
	maxWhole  = 32 << 20  // a file of more is never fetched whole
	maxHead   = 100 << 20 // the safetensors format's limit on a header
	maxStep   = 8 << 20   // of a header that one request asks for
	maxSkip   = 1 << 20   // thrown away at most where a server sends a whole file instead of a range
)

// entry is one file and what has been fetched of it.
type entry struct {
	fs     *FS
	path   string
	target target
	sha256 string // of a file in LFS
	blob   string // git's SHA-1 of any other

	mu   sync.Mutex
	size int64  // -1: not known yet
	head []byte // the file's first bytes
	last []byte // the bytes at lastOff, fetched by the last read beyond head
	off  int64
}

// stat asks the server for the size where the list has none.
func (e *entry) stat() (fs.FileInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.needSize(); err != nil {
		return nil, err
	}
	return info{e.path, e.size, 0o444}, nil
}

func (e *entry) needSize() error {
	if e.size >= 0 {
		return nil
	}
	c := e.fs.client
	err := c.retry(e.fs.ctx, e.target, func() error {
		resp, err := c.do(e.fs.ctx, e.target, "HEAD", "")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if e.size = resp.ContentLength; e.size < 0 {
			return fmt.Errorf("hub: %s: the server does not tell the file's size", at(e.target.repo, e.path))
		}
		return nil
	})
	return e.failed(err)
}

// failed keeps an error for FS.Err.
func (e *entry) failed(err error) error {
	if err != nil {
		return e.fs.note(err)
	}
	return nil
}

// readAt serves p from what is there, or fetches it with some bytes more.
func (e *entry) readAt(p []byte, off int64) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.needSize(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "readat", Path: e.path, Err: fs.ErrInvalid}
	}
	if off >= e.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > e.size-off {
		p, end = p[:e.size-off], io.EOF
	}
	n := e.cached(p, off)
	if n == len(p) {
		return n, end
	}
	if n > 0 && n < len(p) { // the rest goes the usual way
		p, off = p[n:], off+int64(n)
	}
	m, err := e.fetchInto(p, off)
	if err != nil {
		return n + m, err
	}
	return n + m, end
}

// cached copies what is there of p from its beginning.
func (e *entry) cached(p []byte, off int64) int {
	if off < int64(len(e.head)) {
		return copy(p, e.head[off:])
	}
	if off >= e.off && off < e.off+int64(len(e.last)) {
		return copy(p, e.last[off-e.off:])
	}
	return 0
}

// fetchInto fetches p, reading ahead where p is small.
func (e *entry) fetchInto(p []byte, off int64) (int, error) {
	if len(p) >= readAhead {
		n, err := e.fetch(p, off)
		return n, e.failed(err)
	}
	window := make([]byte, min(readAhead, e.size-off))
	if _, err := e.fetch(window, off); err != nil {
		return 0, e.failed(err)
	}
	if off == int64(len(e.head)) && off == 0 {
		e.head = window
	} else {
		e.last, e.off = window, off
	}
	return copy(p, window), nil
}

// loadHead fetches a weight file's header: its length, and that many bytes.
func (e *entry) loadHead() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.needSize(); err != nil {
		return err
	}
	want := min(readAhead, e.size)
	for int64(len(e.head)) < want {
		more := make([]byte, min(want-int64(len(e.head)), maxStep)) // the length is a claim: memory follows what arrives
		if _, err := e.fetch(more, int64(len(e.head))); err != nil {
			return e.failed(err)
		}
		e.head = append(e.head, more...)
		if len(e.head) < 8 {
			return nil
		}
		if n := binary.LittleEndian.Uint64(e.head); n <= maxHead && n+8 <= uint64(e.size) {
			want = int64(n) + 8
		}
	}
	return nil
}

// load fetches a small file whole, once, and checks its hash.
func (e *entry) load() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.needSize(); err != nil {
		return nil, err
	}
	if e.size > maxWhole {
		return nil, fmt.Errorf("hub: %s: %d bytes are too many to fetch whole", at(e.target.repo, e.path), e.size)
	}
	if int64(len(e.head)) == e.size {
		return e.head, nil
	}
	b := make([]byte, e.size)
	if _, err := e.fetch(b, 0); err != nil {
		return nil, e.failed(err)
	}
	if err := e.verify(b); err != nil {
		return nil, e.failed(err)
	}
	e.head = b
	return b, nil
}

// verify holds a whole file against the hash in the Hub's list.
func (e *entry) verify(b []byte) error {
	want, got := e.sha256, ""
	switch {
	case e.sha256 != "":
		sum := sha256.Sum256(b)
		got = hex.EncodeToString(sum[:])
	case len(e.blob) == hex.EncodedLen(sha1.Size):
		want = e.blob
		got = gitBlob(b)
	}
	if got != want {
		return fmt.Errorf("hub: %s: what arrived is not the file that the Hub lists (hash %s, want %s)", at(e.target.repo, e.path), got, want)
	}
	return nil
}

// gitBlob is git's name of a file's content.
func gitBlob(b []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(b))
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// fetch fills p from off on. A connection that breaks is resumed where it broke.
func (e *entry) fetch(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	done := 0
	err := e.fs.client.retry(e.fs.ctx, e.target, func() error {
		n, err := e.request(p[done:], off+int64(done))
		done += n
		return err
	})
	return done, err
}

// request makes one request for p's bytes.
func (e *entry) request(p []byte, off int64) (int, error) {
	resp, err := e.fs.client.do(e.fs.ctx, e.target, "GET", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := e.checkAnswer(resp, off); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(resp.Body, p)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n, &attempt{err: fmt.Errorf("the answer ended %d bytes early: %w", len(p)-n, err)}
	}
	return n, nil
}

// checkAnswer makes sure that the body begins at off, and that the file is as long as it was listed.
func (e *entry) checkAnswer(resp *http.Response, off int64) error {
	if resp.StatusCode == http.StatusOK { // the server ignores ranges: the whole file comes, of which little is read
		if resp.ContentLength >= 0 && resp.ContentLength != e.size {
			return e.sizeError(resp.ContentLength)
		}
		if off > maxSkip {
			return fmt.Errorf("hub: %s: the server ignores byte ranges; reading byte %d would take a download of the whole file", at(e.target.repo, e.path), off)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, off); err != nil {
			return &attempt{err: err}
		}
		return nil
	}
	text, _ := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	span, total, _ := strings.Cut(text, "/")
	first, _, _ := strings.Cut(span, "-")
	if n, err := strconv.ParseInt(first, 10, 64); err != nil || n != off {
		return fmt.Errorf("hub: %s: asked for bytes from %d on, the answer's Content-Range is %q", at(e.target.repo, e.path), off, oneLine(resp.Header.Get("Content-Range")))
	}
	if n, err := strconv.ParseInt(total, 10, 64); err == nil && n != e.size {
		return e.sizeError(n)
	}
	return nil
}

func (e *entry) sizeError(n int64) error {
	return fmt.Errorf("hub: %s: the file has %d bytes, the Hub lists %d", at(e.target.repo, e.path), n, e.size)
}

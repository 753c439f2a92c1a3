package hub

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// blocksOfPart is how many blocks a part has; the journal notes blocks. A kill loses the blocks that were under way, one
// a lane: together less than a part.
const blocksOfPart = 16

// growing is a file that is being fetched. Blocks arrive in any order, each noted in a journal beside the file once it
// is written; the hash follows as far as there are no holes.
type growing struct {
	d       *download
	e       *entry
	f       *os.File
	journal *os.File
	block   int64

	mu      sync.Mutex
	arrived *sync.Cond
	have    []bool // blocks
	failed  error

	locMu    sync.Mutex
	location string
	signed   bool // location is on another host: no token
}

// grow fetches e into name and holds it against its hash; what is there of an earlier run stays.
func (d *download) grow(e *entry, name string) error {
	g := &growing{d: d, e: e, block: max(1, d.c.partSize/blocksOfPart)}
	g.arrived = sync.NewCond(&g.mu)
	defer g.close()
	if err := g.open(name); err != nil {
		return err
	}
	sum := make(chan string, 1)
	go func() { sum <- g.hash() }()
	err := g.fetch()
	g.stop(err)
	got := <-sum
	if err != nil {
		return err
	}
	if err := g.f.Sync(); err != nil {
		return err
	}
	if got != e.etag() {
		_ = os.Remove(name) // nothing of it can be trusted
		_ = os.Remove(name + ".journal")
		return &CorruptError{Repo: e.target.repo, What: e.path, Msg: fmt.Sprintf("what arrived is not the file that the Hub lists (hash %s, want %s)", got, e.etag())}
	}
	return os.Remove(name + ".journal")
}

func (g *growing) close() {
	for _, f := range []*os.File{g.f, g.journal} {
		if f != nil {
			f.Close()
		}
	}
}

// open opens file and journal, and takes over blocks that are there.
func (g *growing) open(name string) error {
	g.have = make([]bool, (g.e.size+g.block-1)/g.block)
	head := fmt.Sprintf("moeconv 1 %s %d %d", g.e.etag(), g.e.size, g.block)
	lines, whole := readJournal(name + ".journal")
	if len(lines) == 0 || lines[0] != head || !exists(name) {
		lines, whole = nil, 0
	}
	var err error
	if g.f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return err
	}
	if err := g.f.Truncate(g.e.size); err != nil {
		return err
	}
	if g.journal, err = os.OpenFile(name+".journal", os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return err
	}
	if err := g.journal.Truncate(whole); err != nil {
		return err
	}
	if _, err := g.journal.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	if len(lines) == 0 {
		_, err := g.journal.WriteString(head + "\n")
		return err
	}
	for _, line := range lines[1:] {
		if n, err := strconv.Atoi(line); err == nil && n >= 0 && n < len(g.have) && !g.have[n] {
			g.have[n] = true
			g.d.count(g.span(n), 0)
		}
	}
	return nil
}

// readJournal reads the complete lines of a journal, and how many bytes they are.
func readJournal(name string) (lines []string, whole int64) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return lines, whole
		}
		lines, whole = append(lines, strings.TrimSuffix(line, "\n")), whole+int64(len(line))
	}
}

// span is a block's length.
func (g *growing) span(n int) int64 { return min(g.block, g.e.size-int64(n)*g.block) }

// fetch asks for what is missing, a part a request, some at once.
func (g *growing) fetch() error {
	ctx, cancel := context.WithCancelCause(g.d.ctx)
	defer cancel(nil)
	parts := make(chan [2]int) // blocks from, to
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for range lanes {
		wg.Go(func() {
			for p := range parts {
				if err := g.part(ctx, p[0], p[1]); err != nil {
					once.Do(func() { first = err })
					cancel(err)
				}
			}
		})
	}
	for _, p := range g.missing() {
		if ctx.Err() != nil {
			break
		}
		parts <- p
	}
	close(parts)
	wg.Wait()
	if first == nil && g.d.ctx.Err() != nil {
		first = context.Cause(g.d.ctx)
	}
	return first
}

// missing are the runs of blocks that are not there, each of one part at most.
func (g *growing) missing() [][2]int {
	var out [][2]int
	for n := 0; n < len(g.have); n++ {
		if g.have[n] {
			continue
		}
		if k := len(out) - 1; k >= 0 && out[k][1] == n && n-out[k][0] < blocksOfPart {
			out[k][1]++
			continue
		}
		out = append(out, [2]int{n, n + 1})
	}
	return out
}

// part fetches blocks from..to-1. A connection that breaks is taken up where it broke.
func (g *growing) part(ctx context.Context, from, to int) error {
	next := from
	return g.d.c.retry(ctx, g.e.target, func() error {
		n, err := g.request(ctx, next, to)
		if n > 0 {
			next += n
		}
		var expired *expiredError
		if errors.As(err, &expired) {
			g.locMu.Lock()
			g.location = ""
			g.locMu.Unlock()
			return &attempt{err: err, wait: time.Millisecond}
		}
		return err
	})
}

// request makes one request and writes the blocks that arrive; n is how many.
func (g *growing) request(ctx context.Context, from, to int) (n int, err error) {
	where, signed, err := g.locate(ctx)
	if err != nil {
		return 0, err
	}
	off, end := int64(from)*g.block, min(int64(to)*g.block, g.e.size)
	q := call{method: "GET", url: where, bare: signed, header: http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, end-1)}}}
	resp, err := g.d.c.send(ctx, g.e.target, q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := g.e.checkAnswer(resp, off); err != nil {
		return 0, err
	}
	buf := make([]byte, min(g.block, end-off))
	for b := from; b < to; b++ {
		p := buf[:g.span(b)]
		if _, err := io.ReadFull(resp.Body, p); err != nil {
			return n, &attempt{err: fmt.Errorf("the answer ended early: %w", err)}
		}
		if err := g.write(b, p); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// write stores a block, then notes it.
func (g *growing) write(n int, p []byte) error {
	if _, err := g.f.WriteAt(p, int64(n)*g.block); err != nil {
		return err
	}
	writeBack(g.f, int64(n)*g.block, int64(len(p)))
	g.mu.Lock()
	_, err := g.journal.WriteString(strconv.Itoa(n) + "\n")
	g.have[n] = err == nil
	g.arrived.Broadcast()
	g.mu.Unlock()
	g.d.count(int64(len(p)), int64(len(p)))
	return err
}

// locate asks where the file lies: of a file in LFS a signed address elsewhere, good for a while. It makes sure that the
// Hub means the same content.
func (g *growing) locate(ctx context.Context) (location string, signed bool, err error) {
	g.locMu.Lock()
	defer g.locMu.Unlock()
	if g.location != "" {
		return g.location, g.signed, nil
	}
	where := g.e.target.url
	for range 5 {
		resp, err := g.d.c.send(ctx, g.e.target, call{method: "HEAD", url: where, stay: true})
		if err != nil {
			return "", false, err
		}
		resp.Body.Close()
		etag := resp.Header.Get("X-Linked-Etag")
		if etag == "" && resp.StatusCode == http.StatusOK {
			etag = resp.Header.Get("ETag")
		}
		if etag = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`); etag != "" && etag != g.e.etag() {
			return "", false, &CorruptError{Repo: g.e.target.repo, What: g.e.path, Msg: fmt.Sprintf("the Hub lists the hash %s and sends %s", g.e.etag(), oneLine(etag))}
		}
		if resp.StatusCode < 300 {
			g.location, g.signed = where, false
			return where, false, nil
		}
		next, err := resp.Location()
		if err != nil {
			return "", false, fmt.Errorf("hub: %s: a redirect to nowhere", at(g.e.target.repo, g.e.path))
		}
		here, err := url.Parse(where)
		if err != nil {
			return "", false, err
		}
		if next.Host != here.Host || next.Scheme != here.Scheme {
			g.location, g.signed = next.String(), true
			return g.location, true, nil
		}
		where = next.String() // of a repository that was renamed
	}
	return "", false, fmt.Errorf("hub: %s: %w", at(g.e.target.repo, g.e.path), errRedirects)
}

// stop ends the hashing where blocks will not come any more.
func (g *growing) stop(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = err
	g.arrived.Broadcast()
}

// hash reads the file as it grows; empty where it did not become complete.
func (g *growing) hash() string {
	var h hash.Hash = sha256.New()
	if g.e.sha256 == "" {
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", g.e.size)
	}
	buf := make([]byte, g.block)
	for n := range g.have {
		g.mu.Lock()
		for !g.have[n] && g.failed == nil {
			g.arrived.Wait()
		}
		there := g.have[n]
		g.mu.Unlock()
		if !there {
			return ""
		}
		p := buf[:g.span(n)]
		if _, err := g.f.ReadAt(p, int64(n)*g.block); err != nil {
			return ""
		}
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

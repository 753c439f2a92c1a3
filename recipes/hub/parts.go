package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxParts is how many parts of a file travel at once, at most.
const maxParts = 8

// atOnce is how many of an upload's parts travel at once, where kills have already lost some. What is under way when the
// command is killed has to be sent again: each kill may lose half of what is left of a fortieth of the file. But one part
// travels in any case.
func atOnce(parts, lost int) int { return min(maxParts, max(1, (parts/40-lost)/2)) }

// partsFile is the journal of an upload in parts. Its first line says where the parts go: the storage knows them by the
// upload that these addresses belong to. Each further line is a part that is begun or, with its ETag, has arrived.
type partsFile struct {
	OID    string `json:"oid"`
	Size   int64  `json:"size"`
	Upload action `json:"upload"`
}

type partLine struct {
	Part int    `json:"part"`
	ETag string `json:"etag,omitempty"`
}

func partsName(dir, oid string) string { return filepath.Join(dir, oid+".parts") }

// dropParts forgets an upload.
func dropParts(dir, oid string) error {
	err := os.Remove(partsName(dir, oid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// loadParts is an upload that was begun, the parts that have arrived and how many were begun in vain; nil where there is
// none that can go on.
func loadParts(dir string, a Addition, now time.Time) (up *partsFile, etags map[int]string, lost int) {
	data, err := os.ReadFile(partsName(dir, a.SHA256))
	if err != nil {
		return nil, nil, 0
	}
	return parseParts(data, a, now)
}

func parseParts(data []byte, a Addition, now time.Time) (up *partsFile, etags map[int]string, lost int) {
	lines := bytes.Split(data, []byte("\n"))
	up = &partsFile{}
	if json.Unmarshal(lines[0], up) != nil || up.OID != a.SHA256 || up.Size != a.Size || expires(up.Upload, now) {
		return nil, nil, 0
	}
	etags = map[int]string{}
	for _, line := range lines[1:] {
		var p partLine
		if json.Unmarshal(line, &p) != nil { // the line that a crash cut
			break
		}
		if p.ETag == "" {
			lost++
			continue
		}
		etags[p.Part] = p.ETag
		lost = max(0, lost-1)
	}
	return up, etags, lost
}

// expires says whether an upload's signed addresses are about to end, as far as they tell.
func expires(up action, now time.Time) bool {
	for key, href := range up.Header {
		if _, err := strconv.Atoi(key); err != nil {
			continue
		}
		u, err := url.Parse(href)
		if err != nil {
			return true
		}
		from, err1 := time.Parse("20060102T150405Z", u.Query().Get("X-Amz-Date"))
		seconds, err2 := strconv.ParseInt(u.Query().Get("X-Amz-Expires"), 10, 32)
		if err1 == nil && err2 == nil && now.Add(10*time.Minute).After(from.Add(time.Duration(seconds)*time.Second)) {
			return true
		}
	}
	return false
}

// partAddresses are where the parts of a file go.
func partAddresses(up action, size int64) (chunk int64, hrefs []string, err error) {
	chunk, err = strconv.ParseInt(up.Header["chunk_size"], 10, 64)
	if err != nil || chunk <= 0 {
		return 0, nil, fmt.Errorf("chunk_size %q", oneLine(up.Header["chunk_size"]))
	}
	byNumber := map[int]string{}
	for key, href := range up.Header {
		if n, err := strconv.Atoi(key); err == nil {
			byNumber[n] = href
		}
	}
	for n := 1; n <= len(byNumber); n++ {
		if byNumber[n] == "" {
			return 0, nil, fmt.Errorf("no address for part %d", n)
		}
		hrefs = append(hrefs, byNumber[n])
	}
	if int64(len(hrefs)) != (size-1)/chunk+1 {
		return 0, nil, fmt.Errorf("%d parts of %d bytes for a file of %d", len(hrefs), chunk, size)
	}
	return chunk, hrefs, nil
}

// sendParts sends the parts of a file that have not arrived, and closes the upload.
func (l *LFS) sendParts(ctx context.Context, t target, f *os.File, a Addition, up action, progress func(int64)) error {
	etags, lost := map[int]string{}, 0
	old, have, in := loadParts(l.State, a, time.Now())
	if old != nil {
		up, etags, lost = old.Upload, have, in
	}
	chunk, hrefs, err := partAddresses(up, a.Size)
	if err != nil {
		return fmt.Errorf("hub: %s: the Hub's upload instructions are not valid: %w", at(t.repo, t.file), err)
	}
	journal, err := openParts(l.State, a, up, old == nil)
	if err != nil {
		return err
	}
	defer journal.Close()
	s := &sending{l: l, t: t, f: f, size: a.Size, chunk: chunk, hrefs: hrefs, journal: journal, progress: progress, etags: etags, atOnce: atOnce(len(hrefs), lost)}
	if err = s.run(ctx); err == nil {
		err = l.complete(ctx, t, a, up, etags)
	}
	var expired *expiredError
	if errors.As(err, &expired) { // these addresses are of no more use
		return errors.Join(err, dropParts(l.State, a.SHA256))
	}
	return err
}

// openParts opens the journal to append to it.
func openParts(dir string, a Addition, up action, fresh bool) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	name := partsName(dir, a.SHA256)
	if !fresh {
		return os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o600)
	}
	head, err := json.Marshal(partsFile{a.SHA256, a.Size, up})
	if err != nil {
		return nil, err
	}
	// Not readable for others: whoever has the signed addresses may write the parts.
	if err := os.WriteFile(name+".new", append(head, '\n'), 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o600)
}

// sending is one file on its way in parts.
type sending struct {
	l        *LFS
	t        target
	f        *os.File
	size     int64
	chunk    int64
	hrefs    []string
	journal  *os.File
	progress func(int64)
	atOnce   int

	mu    sync.Mutex
	etags map[int]string // of parts that have arrived
	err   error          // the first
}

// run sends what is missing, some parts at once.
func (s *sending) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var todo []int
	for n := 1; n <= len(s.hrefs); n++ {
		if s.etags[n] == "" {
			todo = append(todo, n)
		}
	}
	next := make(chan int)
	var wg sync.WaitGroup
	for range s.atOnce {
		wg.Go(func() {
			for n := range next {
				if err := s.part(ctx, n); err != nil {
					s.mu.Lock()
					if s.err == nil {
						s.err = err
					}
					s.mu.Unlock()
					cancel(err)
				}
			}
		})
	}
	for _, n := range todo {
		if ctx.Err() != nil {
			break
		}
		next <- n
	}
	close(next)
	wg.Wait()
	if s.err == nil {
		s.err = context.Cause(ctx)
	}
	return s.err
}

// part sends one part and notes that it has arrived.
func (s *sending) part(ctx context.Context, n int) error {
	count := func(n int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.progress(n)
	}
	if err := s.note(partLine{Part: n}); err != nil {
		return err
	}
	off := int64(n-1) * s.chunk
	etag, err := s.l.put(ctx, s.t, s.f, s.hrefs[n-1], off, min(s.chunk, s.size-off), count)
	if err != nil {
		return err
	}
	if etag == "" {
		return fmt.Errorf("hub: %s: the storage gives no ETag for part %d", at(s.t.repo, s.t.file), n)
	}
	return s.note(partLine{n, etag})
}

// note writes a line of the journal.
func (s *sending) note(p partLine) error {
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.ETag != "" {
		s.etags[p.Part] = p.ETag
	}
	_, err = s.journal.Write(append(line, '\n'))
	return err
}

// complete tells the Hub that all parts are there; it then holds the whole against its hash.
func (l *LFS) complete(ctx context.Context, t target, a Addition, up action, etags map[int]string) error {
	type part struct {
		Number int    `json:"partNumber"`
		ETag   string `json:"etag"`
	}
	var parts []part
	for n, etag := range etags {
		parts = append(parts, part{n, etag})
	}
	slices.SortFunc(parts, func(a, b part) int { return a.Number - b.Number })
	data, err := json.Marshal(map[string]any{"oid": a.SHA256, "parts": parts})
	if err != nil {
		return err
	}
	t.url = l.Client.mirrored(up.Href)
	q := call{url: t.url, bare: true, header: http.Header{"Content-Type": {lfsType}, "Accept": {lfsType}}}
	return l.Client.retry(ctx, t, func() error { return l.Client.postOnce(ctx, t, q, data, nil) })
}

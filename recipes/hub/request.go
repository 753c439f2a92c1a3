package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout  = 10 * time.Second
	reply        = 30 * time.Second // to a request's headers
	digest       = 2 * time.Minute  // to the headers of a request with a body, from its last byte on
	stall        = 30 * time.Second // without a byte of the body
	firstBackoff = 400 * time.Millisecond
	maxWait      = time.Minute // that a Retry-After may ask for, unless Client.Patience says otherwise
	longWait     = 10 * time.Second
	parallel     = 16 // requests at once
)

// userAgent names the program and its version.
var userAgent = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return "moeconv/" + strings.TrimPrefix(info.Main.Version, "v")
	}
	return "moeconv/devel"
})

// newHTTP are two clients that never send the token to another host than the one asked first: one follows redirects, one does not.
func newHTTP() (follow, still *http.Client) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.MaxIdleConnsPerHost = parallel
	t.DisableCompression = true // ranges and sizes are of the file itself
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}, &http.Client{Transport: t, CheckRedirect: stop}
}

var errRedirects = errors.New("more than 10 redirects")

// checkRedirect drops the token where a redirect leaves the host it is meant for: host and port, and from https to http.
// net/http itself would still send it to another port and to subdomains.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errRedirects
	}
	for _, v := range via {
		if v.URL.Host != req.URL.Host || v.URL.Scheme != req.URL.Scheme {
			req.Header.Del("Authorization")
		}
	}
	return nil
}

// target is what a request is about.
type target struct {
	repo Repo
	file string // empty: the repository itself
	url  string
}

// attempt is one try's outcome that another try may mend.
type attempt struct {
	err  error
	wait time.Duration // asked for by the Hub; 0: none
}

func (a *attempt) Error() string { return a.err.Error() }

// retry calls try until it succeeds, fails for good, or has been called c.Tries times. Errors worth another try are *attempt.
func (c *Client) retry(ctx context.Context, t target, try func() error) error {
	backoff := firstBackoff
	for n := 1; ; n++ {
		err := try()
		var again *attempt
		if ctx.Err() != nil {
			return fmt.Errorf("hub: %s: %w", at(t.repo, t.file), context.Cause(ctx))
		}
		if !errors.As(err, &again) {
			return err
		}
		wait := again.wait
		if wait == 0 {
			wait = backoff/2 + rand.N(backoff/2)
			backoff = min(2*backoff, c.patience()) // what the Hub asks for is another matter
		}
		if n >= c.Tries || wait > c.patience() {
			return &UnavailableError{Repo: t.repo, What: t.file, Tries: n, Wait: again.wait, Err: again.err}
		}
		if c.Note != nil && wait >= longWait {
			c.Note(fmt.Sprintf("%s: %v; the Hub asks to wait %d seconds", at(t.repo, t.file), again.err, int(wait.Seconds())))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("hub: %s: %w", at(t.repo, t.file), context.Cause(ctx))
		case <-c.pause(wait):
		}
	}
}

// call is one request.
type call struct {
	method, url string
	header      http.Header
	body        func() io.Reader // anew for each try; nil: none
	length      int64            // of the body in bytes
	bare        bool             // to a signed address: without the token
	stay        bool             // a redirect is an answer
}

// patience is the longest wait that the Hub may ask for.
func (c *Client) patience() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return maxWait
}

// do sends one request and returns a response of status 200 or 206, whose body ends with an error where it stalls.
func (c *Client) do(ctx context.Context, t target, method, byteRange string) (*http.Response, error) {
	q := call{method: method, url: t.url}
	if byteRange != "" {
		q.header = http.Header{"Range": {byteRange}}
	}
	return c.send(ctx, t, q)
}

// send is do for any request.
func (c *Client) send(ctx context.Context, t target, q call) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limit := reply
	if q.body != nil {
		limit = digest
	}
	silence := time.AfterFunc(limit, func() { cancel(errSilent) })
	defer silence.Stop()
	req, err := c.request(ctx, q, func() { silence.Reset(limit) })
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("hub: %s: %w", at(t.repo, t.file), bare(err))
	}
	client := c.http
	if q.stay {
		client = c.still
	}
	resp, err := client.Do(req)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent
	}
	if err != nil {
		cancel(nil)
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) || errors.Is(err, errRedirects) { // no try will mend it
			return nil, fmt.Errorf("hub: %s: %w", at(t.repo, t.file), bare(err))
		}
		return nil, &attempt{err: bare(err)}
	}
	if err := c.judge(t, q, resp); err != nil {
		resp.Body.Close()
		cancel(nil)
		return nil, err
	}
	resp.Body = newBody(resp.Body, cancel)
	return resp, nil
}

// request makes the request of a call; sign is called whenever a piece of its body leaves.
func (c *Client) request(ctx context.Context, q call, sign func()) (*http.Request, error) {
	var content io.Reader
	if q.body != nil {
		content = &watched{q.body(), sign}
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, content)
	if err != nil {
		return nil, err
	}
	for k, v := range q.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", userAgent())
	req.Header.Set("Accept-Encoding", "identity")
	if c.Token != "" && !q.bare {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if q.body != nil {
		req.ContentLength = q.length
	}
	return req, nil
}

var errSilent = errors.New("no answer")

// watched tells of each read.
type watched struct {
	io.Reader
	read func()
}

func (w *watched) Read(p []byte) (int, error) {
	w.read()
	return w.Reader.Read(p)
}

// bare is an error without the address, which after a redirect is signed and nobody's business.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// judge turns a status into an error.
func (c *Client) judge(t target, q call, resp *http.Response) error {
	msg := oneLine(resp.Header.Get("X-Error-Message"))
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300, q.stay && code >= 300 && code < 400:
		return nil
	case q.bare && (code == http.StatusForbidden || code == http.StatusNotFound), q.bare && code == http.StatusBadRequest && q.method != "PUT":
		return &expiredError{resp.Status}
	case q.bare && code == http.StatusBadRequest: // what S3 calls RequestTimeout
		return &attempt{err: errors.New("HTTP " + resp.Status)}
	case code == http.StatusPreconditionFailed, code == http.StatusConflict:
		return &ConflictError{Repo: t.repo, Msg: msg}
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return &attempt{err: fmt.Errorf("HTTP %s%s", resp.Status, note(msg)), wait: retryAfter(resp.Header, time.Now())}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		gated := resp.Header.Get("X-Error-Code") == "GatedRepo" || strings.Contains(strings.ToLower(msg), "gated")
		return &AccessError{Repo: t.repo, What: t.file, Status: code, Gated: gated, Token: c.Token != "", Page: c.Endpoint + "/" + t.repo.ID(), Msg: msg}
	case code == http.StatusNotFound:
		return &NotFoundError{Repo: t.repo, What: t.file, Msg: msg}
	default:
		return fmt.Errorf("hub: %s: HTTP %s%s", at(t.repo, t.file), resp.Status, note(msg))
	}
}

// oneLine bounds a text of the server for a message.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	return s[:min(len(s), 200)]
}

// rateLimit is what a used-up limit says: "api";r=0;t=55 (draft-ietf-httpapi-ratelimit-headers).
var rateLimit = regexp.MustCompile(`"\w+"\s*;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d{1,6})\b`)

// retryAfter is how long the Hub asks to wait: the reset of its rate limit, or Retry-After in seconds or as a date. 0 means
// that it says nothing.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if m := rateLimit.FindStringSubmatch(h.Get("RateLimit")); m != nil {
		n, _ := strconv.Atoi(m[1])
		return time.Duration(n+1) * time.Second // its seconds are rounded down
	}
	s := h.Get("Retry-After")
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n >= 0 {
		return max(time.Duration(n)*time.Second, time.Millisecond)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), time.Millisecond)
	}
	return 0
}

// body cancels its request when no byte arrives for a while.
type body struct {
	io.ReadCloser
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

var errStalled = fmt.Errorf("no data for %v", stall)

func newBody(r io.ReadCloser, cancel context.CancelCauseFunc) *body {
	return &body{r, time.AfterFunc(stall, func() { cancel(errStalled) }), cancel}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.timer.Reset(stall)
	return n, err
}

// Close ends the request, wherever its body stands.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

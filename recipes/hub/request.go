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
	"strconv"
	"strings"
	"time"
)

const (
	userAgent    = "moeconv"
	dialTimeout  = 10 * time.Second
	reply        = 30 * time.Second // to a request's headers
	stall        = 30 * time.Second // without a byte of the body
	firstBackoff = 400 * time.Millisecond
	maxWait      = time.Minute // that a Retry-After may ask for
	parallel     = 16          // requests at once
)

// newHTTP is a client that never sends the token to another host than the one asked first.
func newHTTP() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.ResponseHeaderTimeout = reply
	t.MaxIdleConnsPerHost = parallel
	t.DisableCompression = true // ranges and sizes are of the file itself
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}
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
			backoff *= 2
		}
		if n >= c.Tries || wait > maxWait {
			return &UnavailableError{Repo: t.repo, What: t.file, Tries: n, Wait: again.wait, Err: again.err}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("hub: %s: %w", at(t.repo, t.file), context.Cause(ctx))
		case <-c.pause(wait):
		}
	}
}

// do sends one request and returns a response of status 200 or 206, whose body ends with an error where it stalls.
func (c *Client) do(ctx context.Context, t target, method, byteRange string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, method, t.url, nil)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("hub: %s: %w", at(t.repo, t.file), err)
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		cancel(nil)
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) || errors.Is(err, errRedirects) { // no try will mend it
			return nil, fmt.Errorf("hub: %s: %w", at(t.repo, t.file), bare(err))
		}
		return nil, &attempt{err: bare(err)}
	}
	if err := c.judge(t, resp); err != nil {
		resp.Body.Close()
		cancel(nil)
		return nil, err
	}
	resp.Body = newBody(resp.Body, cancel)
	return resp, nil
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
func (c *Client) judge(t target, resp *http.Response) error {
	msg := oneLine(resp.Header.Get("X-Error-Message"))
	switch code := resp.StatusCode; {
	case code == http.StatusOK, code == http.StatusPartialContent:
		return nil
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

// retryAfter reads the header of that name: seconds, or a date. A wait of 0 means that it says nothing.
func retryAfter(h http.Header, now time.Time) time.Duration {
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

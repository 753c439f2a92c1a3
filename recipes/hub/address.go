package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Address reads what lies at an http or https address, of this Hub or of any other server, at most so many bytes. The
// token goes to Endpoint's host alone. With HF_HUB_OFFLINE it is an *OfflineError.
func (c *Client) Address(ctx context.Context, address string, most int64) (data []byte, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("hub: %q is not an http or https address", address)
	}
	if c.Offline {
		return nil, &OfflineError{Address: address}
	}
	home, err := url.Parse(c.Endpoint)
	foreign := err != nil || home.Host != u.Host || home.Scheme != u.Scheme
	t := target{file: address, url: address}
	err = c.retry(ctx, t, func() error {
		resp, err := c.send(ctx, t, call{method: http.MethodGet, url: address, bare: foreign})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if data, err = io.ReadAll(io.LimitReader(resp.Body, most+1)); err != nil {
			return &attempt{err: bare(err)}
		}
		if int64(len(data)) > most {
			return fmt.Errorf("hub: %s: more than %d bytes", address, most)
		}
		return nil
	})
	var expired *expiredError
	if errors.As(err, &expired) { // no address of ours that could be asked for anew
		return nil, fmt.Errorf("hub: %s: %w", address, err)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

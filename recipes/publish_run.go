package recipes

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes/hub"
)

// run sends and commits, then reads back.
func (p *publisher) run(ctx context.Context) error {
	if p.pub.New {
		if _, err := p.Client.CreateRepo(ctx, p.Repo, p.Private); err != nil {
			return err
		}
		var err error
		if p.head, err = p.Client.Open(ctx, p.Repo); err != nil {
			return err
		}
	}
	if p.Transport == nil {
		p.Transport = &hub.LFS{Client: p.Client, State: filepath.Join(p.Dir, stateDir)}
	}
	var total int64
	for _, c := range p.pub.Commits {
		total += c.Bytes
	}
	progress, done := p.Observer.Track("upload", true)
	defer done()
	parent := p.head.Commit()
	for i := range p.pub.Commits {
		c := &p.pub.Commits[i]
		if c.Bytes == 0 && len(c.Delete) == 0 && !slices.ContainsFunc(c.add, func(a hub.Addition) bool { return !p.head.Has(a) }) {
			continue // the Hub has all of it
		}
		got, err := p.Transport.Commit(ctx, p.Repo, parent, hub.Change{Message: c.Message, Add: c.add, Delete: c.Delete},
			func(n int64) { progress(p.sent.Add(n), total) })
		p.pub.Sent += got.Sent
		if err != nil {
			return err
		}
		if got.New {
			c.OID, parent = got.OID, got.OID
		}
	}
	p.pub.Commit = parent
	done()
	return p.recheck(ctx)
}

// recheck holds what the Hub has against the folder.
func (p *publisher) recheck(ctx context.Context) error {
	at := p.Repo
	at.Revision = p.pub.Commit
	now, err := p.Client.Open(ctx, at)
	if err != nil {
		return err
	}
	var all []hub.Addition
	for _, c := range p.pub.Commits {
		all = append(all, c.add...)
	}
	header := func(a hub.Addition) (int64, error) {
		if filepath.Ext(a.Path) != ".gguf" {
			return 0, nil
		}
		f, err := gguf.OpenShard(a.File)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		return f.Shards()[0].DataOffset, nil
	}
	return now.Recheck(ctx, all, header, p.Full)
}

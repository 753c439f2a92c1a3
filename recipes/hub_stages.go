package recipes

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/recipes/hub"
)

// ForRepo is the recipe of a repository on the Hub that has none of its own: the default one.
func ForRepo(repo hub.Repo) (*Recipe, error) {
	r, err := Default()
	if err != nil {
		return nil, err
	}
	r.Source.Repo, r.Source.Revision = repo.ID(), repo.Revision
	return r, nil
}

// repo is the checkpoint's repository.
func (s Source) repo() (hub.Repo, bool) {
	id := s.Repo
	if s.Revision != "" {
		id += "@" + s.Revision
	}
	return hub.ParseRepo(id)
}

// client is the Hub of the run.
func (j *job) client() (*hub.Client, error) {
	if j.o.Hub != nil {
		return j.o.Hub, nil
	}
	c, err := hub.New(os.Getenv)
	if err == nil {
		c.Note = j.o.Observer.Note
	}
	return c, err
}

// download fetches the recipe's checkpoint into the cache of HuggingFace's tools, as far as it is not there, and returns
// its name.
func (j *job) download(ctx context.Context) (string, error) {
	repo, ok := j.r.Source.repo()
	if !ok {
		return "", j.r.errorf("key source: neither path, embedded nor a repo OWNER/NAME")
	}
	if err := j.pin(&repo); err != nil {
		return "", err
	}
	c, err := j.client()
	if err != nil {
		return "", err
	}
	if err := j.foresee(ctx, c, repo); err != nil {
		return "", err
	}
	progress, done := j.o.Observer.Track("download "+repo.ID(), true)
	defer done()
	got, err := c.Download(ctx, repo, hub.Fetch{Progress: progress})
	if err != nil {
		return "", fmt.Errorf("recipes: %s: %w", j.r.origin, err)
	}
	j.commit, j.fsys = got.Commit, os.DirFS(got.Dir)
	return repo.Name, nil
}

// pin takes the commit that an earlier run's lock file has for a branch, so that this run is the same.
func (j *job) pin(repo *hub.Repo) error {
	j.name = j.r.Name
	if j.name == "" {
		j.name = repo.Name
	}
	l, err := j.readLock()
	if err == nil && l != nil && l.Repo == repo.ID() && l.Asked == j.r.Source.Revision && l.Commit != "" && l.Commit != repo.Revision {
		j.o.Observer.Note(fmt.Sprintf("%s: commit %s, as the lock file says", repo.ID(), l.Commit))
		repo.Revision = l.Commit
	}
	return err
}

// foresee plans the conversion from headers, read by range, so that a checkpoint which would be refused is refused before
// it is downloaded.
func (j *job) foresee(ctx context.Context, c *hub.Client, repo hub.Repo) error {
	f, err := c.Open(ctx, repo)
	if err != nil {
		return fmt.Errorf("recipes: %s: %w", j.r.origin, err)
	}
	p, err := convert.NewPlan(f, convert.Options{OutType: "auto", Pre: j.o.Pre, Name: repo.Name})
	if f.Err() != nil {
		return f.Err()
	}
	if err != nil {
		return err
	}
	defer p.Close()
	return family.CheckContract(p.Metadata(), p.Tensors())
}

// PublishRepo is where the recipe publishes a model of that name; empty: the recipe's own name.
func (r *Recipe) PublishRepo(name string) (hub.Repo, bool) {
	if name == "" {
		name = r.Name
	}
	if name == "" {
		_, name, _ = strings.Cut(r.Source.Repo, "/")
	}
	if name == "" {
		name = r.Source.Embedded
	}
	return hub.ParseRepo(strings.ReplaceAll(r.Publish.Repo, "{name}", name))
}

// publish is the last stage: what passed goes to the Hub.
func (j *job) publish(ctx context.Context) error {
	repo, ok := j.r.PublishRepo(j.name)
	if !ok {
		return j.r.errorf("key publish.repo: %q is not OWNER/NAME", j.r.Publish.Repo)
	}
	c, err := j.client()
	if err != nil {
		return err
	}
	c.Patience = time.Hour // the Hub limits commits by the hour
	var also []string
	for _, f := range j.report.Others {
		also = append(also, f.Path)
	}
	pub, err := Publish(ctx, Publishing{Dir: j.o.Out, Repo: repo, Also: also, Private: j.r.Publish.Visibility == "private",
		HoldRelease: j.r.Publish.OnFailure == "hold-release", Client: c, Observer: j.o.Observer})
	if err != nil {
		return err
	}
	j.report.stage("publish", pub.Note())
	j.report.Published = pub
	j.report.acted = j.report.acted || pub.Made() > 0
	return nil
}

// Made counts the commits that a publication made.
func (p *Publication) Made() int {
	n := 0
	for _, c := range p.Commits {
		if c.OID != "" {
			n++
		}
	}
	return n
}

// Note is the publication in a line.
func (p *Publication) Note() string {
	return fmt.Sprintf("%s: %d files, %d commits, %d bytes sent; what the Hub has was read back", p.Repo, len(p.Files), p.Made(), p.Sent)
}

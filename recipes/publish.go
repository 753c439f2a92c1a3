package recipes

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/moeconv/moeconv/recipes/hub"
)

// stateDir holds the journals of uploads, in the folder that is published.
const stateDir = ".publish"

// maxFiles of one commit; the Hub advises to stay below a hundred.
const maxFiles = 100

// Publishing says what Publish is to do.
type Publishing struct {
	Dir         string
	Repo        hub.Repo
	Private     bool // visibility of a repository that is created
	HoldRelease bool // one held file holds back all
	Clean       bool // delete files of the same types that are not in Dir, such as old shards
	Full        bool // read every byte back, not only of small files
	DryRun      bool
	Also        []string // paths below Dir of further files that go
	Client      *hub.Client
	Transport   hub.Transport // nil: LFS
	Observer    Observer
}

// Publication is what was published, or would be.
type Publication struct {
	Repo    string            `json:"repository"`
	DryRun  bool              `json:"dry_run,omitempty"`
	New     bool              `json:"new_repository"`
	Private bool              `json:"private"`
	Commit  string            `json:"commit,omitempty"` // the head afterwards
	Commits []PublishedCommit `json:"commits"`
	Files   []PublishedFile   `json:"files"`
	Held    []HeldFile        `json:"held"`
	Stay    []string          `json:"stay"` // files of the folder that are not for the Hub
	Old     []string          `json:"old"`  // files of the repository that the folder does not have
	Sent    int64             `json:"sent_bytes"`
	Notes   []string          `json:"notes,omitempty"`
	Default string            `json:"default,omitempty"` // what llama-server -hf takes without a tag
}

// PublishedCommit is one commit.
type PublishedCommit struct {
	Message string   `json:"message"`
	OID     string   `json:"oid,omitempty"`
	Files   []string `json:"files"`
	Delete  []string `json:"delete,omitempty"`
	Bytes   int64    `json:"bytes"` // of files that the Hub did not have

	add []hub.Addition
}

// PublishedFile is one file.
type PublishedFile struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Tag    string `json:"tag,omitempty"` // llama-server -hf OWNER/NAME:TAG; of a model's first file
	There  bool   `json:"there"`         // the Hub had it already
}

// HeldFile is a model that stays behind.
type HeldFile struct {
	Path   string `json:"path"`
	Label  string `json:"label"`
	Reason string `json:"reason"`
}

// RefusedError says why nothing was published; each reason names its file.
type RefusedError struct {
	Reasons []string
	hint    string
}

func (e *RefusedError) Error() string { return "not published: " + strings.Join(e.Reasons, "; ") }

// Hint is advice for the user.
func (e *RefusedError) Hint() string { return e.hint }

// publisher is one run.
type publisher struct {
	Publishing
	f    *folder
	card string  // its path in the folder
	head *hub.FS // nil: there is no such repository yet
	pub  *Publication
	sent atomic.Int64
}

// Publish carries a folder's verified models and its card to the Hub: everything is checked first, then each type is
// one commit, the card the last, and at the end what the Hub has is read back. Nothing is sent twice: the same call goes
// on after any interruption, and sends nothing where the repository is as the folder. Errors are *RefusedError before
// anything is sent, *hub.ConflictError, *hub.CorruptError and those of the network.
func Publish(ctx context.Context, o Publishing) (*Publication, error) {
	p := &publisher{Publishing: o, pub: &Publication{Repo: o.Repo.ID(), DryRun: o.DryRun, Commits: []PublishedCommit{}, Files: []PublishedFile{},
		Held: []HeldFile{}, Stay: []string{}, Old: []string{}}}
	if o.Client.Offline {
		return nil, &RefusedError{[]string{"HF_HUB_OFFLINE forbids the network"}, "unset HF_HUB_OFFLINE"}
	}
	if !o.DryRun {
		if o.Client.Token == "" {
			return nil, &RefusedError{[]string{"there is no token"}, "HF_TOKEN, or the file that `hf auth login` writes, has to hold a token with the right to write"}
		}
		unlock, err := hub.Lock(filepath.Join(o.Dir, stateDir, "lock"), "the folder to publish")
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	if err := p.plan(ctx); err != nil {
		return p.pub, err
	}
	if o.DryRun {
		return p.pub, nil
	}
	return p.pub, p.run(ctx)
}

// plan reads folder and repository, and refuses what may not go.
func (p *publisher) plan(ctx context.Context) error {
	var err error
	if p.f, err = readFolder(p.Dir, p.Also); err != nil {
		return err
	}
	if err := p.gate(); err != nil {
		return err
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	if p.card = p.f.findCard(); p.card == "" {
		return &RefusedError{[]string{cardName + ": there is no model card"}, "moeconv card makes one, or write README.md into the folder; its front matter needs license and base_model"}
	}
	data, err := p.f.read(p.card)
	if err != nil {
		return err
	}
	c, problems := parseCard(data)
	if err := p.commits(c); err != nil {
		return err
	}
	if len(problems) == 0 { // links of what cannot be parsed mean nothing
		held := map[string]string{}
		for _, h := range p.pub.Held {
			held[h.Path] = h.Reason
		}
		problems = slices.Concat(p.f.audit(p.card, data), c.checkLicense(p.going(), p.f.records.license), c.checkBase(p.f.records.sources), c.checkLinks(p.Client.Endpoint, p.Repo, p.tree(), held), checkHeld(data, p.pub.Held))
	}
	for i := range problems {
		problems[i] = p.card + ": " + problems[i]
	}
	if names := p.checkNames(); len(names) > 0 {
		problems = append(problems, names...)
	}
	if len(problems) > 0 {
		return &RefusedError{problems, p.hint()}
	}
	p.fill()
	return nil
}

func (p *publisher) hint() string {
	if len(p.pub.Old) > 0 {
		return "--clean deletes the repository's old files: " + strings.Join(p.pub.Old, ", ")
	}
	return "--dry-run shows the plan; nothing was sent"
}

// gate sets aside the models that may not go.
func (p *publisher) gate() error {
	var reasons []string
	for _, m := range p.f.sets {
		if m.held == "" {
			continue
		}
		reasons = append(reasons, m.name()+": "+m.held)
		for _, a := range m.files {
			p.pub.Held = append(p.pub.Held, HeldFile{a.Path, m.label, m.held})
		}
	}
	models := 0
	for _, m := range p.going() {
		if !m.side {
			models++
		}
	}
	const hint = "`moeconv hf2gguf` verifies what it writes; for other files, moeconv verify FILE --source DIR --json > NAME.verify.json in the folder"
	if len(reasons) > 0 && (models == 0 || p.HoldRelease) {
		return &RefusedError{reasons, hint}
	}
	return nil
}

// going are the models and side files that go.
func (p *publisher) going() []*modelSet {
	return slices.DeleteFunc(slices.Clone(p.f.sets), func(m *modelSet) bool { return m.held != "" })
}

// look opens the repository; one that is not there will be created.
func (p *publisher) look(ctx context.Context) error {
	var missing *hub.NotFoundError
	var hidden *hub.AccessError
	head, err := p.Client.Open(ctx, p.Repo)
	switch {
	case errors.As(err, &missing):
		p.pub.New, p.pub.Private = true, p.Private
		return nil
	case p.DryRun && errors.As(err, &hidden) && !hidden.Token:
		p.pub.Notes = append(p.pub.Notes, "without a token a private repository looks like none: the plan takes it for a new one")
		p.pub.New, p.pub.Private = true, p.Private
		return nil
	case err != nil:
		return err
	}
	p.head, p.pub.Private, p.pub.Commit = head, head.Private(), head.Commit()
	if p.Private && !head.Private() {
		return &RefusedError{[]string{p.Repo.ID() + " is public already, and it was to be private"}, "its visibility is changed on the Hub, in its settings"}
	}
	return nil
}

// commits plans what each commit does: a type each, the card and what belongs to it last.
func (p *publisher) commits(c *modelCard) error {
	last := PublishedCommit{Message: "card"}
	for _, m := range p.going() {
		if m.side {
			last.add = append(last.add, m.files...)
			continue
		}
		old := p.old(m)
		verb := "Add "
		if len(old) > 0 || p.head != nil && slices.ContainsFunc(m.files, func(a hub.Addition) bool { return p.head.Size(a.Path) >= 0 }) {
			verb = "Update "
		}
		files := slices.Clone(m.files)
		for n := 1; len(files) > 0; n++ {
			k := min(maxFiles, len(files))
			commit := PublishedCommit{Message: verb + m.label, add: files[:k]}
			if len(m.files) > maxFiles {
				commit.Message += fmt.Sprintf(" (%d of %d)", n, (len(m.files)+maxFiles-1)/maxFiles)
			}
			if files = files[k:]; len(files) == 0 && p.Clean {
				commit.Delete = old
			}
			p.pub.Commits = append(p.pub.Commits, commit)
		}
		if !p.Clean {
			p.pub.Old = append(p.pub.Old, old...)
		}
	}
	last.Message = "Add the model card"
	if p.head != nil && p.head.Size(cardName) >= 0 {
		last.Message = "Update the model card"
	}
	for _, path := range p.companions(c) {
		a, err := p.f.addition(path)
		if err != nil {
			return err
		}
		if path == p.card {
			a.Path = cardName
		}
		last.add = append(last.add, a)
	}
	p.pub.Commits = append(p.pub.Commits, last)
	return nil
}

// old are the repository's files of a model's type that are not the model's.
func (p *publisher) old(m *modelSet) []string {
	if p.head == nil {
		return nil
	}
	var out []string
	for _, f := range p.head.Files() {
		mine := slices.ContainsFunc(p.f.sets, func(s *modelSet) bool {
			return slices.ContainsFunc(s.files, func(a hub.Addition) bool { return a.Path == f.Path })
		})
		if filepath.Ext(f.Path) == ".gguf" && !mine && strings.EqualFold(hub.Tag(f.Path), m.label) {
			out = append(out, f.Path)
		}
	}
	return out
}

// companions are the files that go with the card, the card last: licence texts, importance matrices, what the card links
// to, and what was asked for.
func (p *publisher) companions(c *modelCard) []string {
	var out []string
	for _, path := range p.f.others {
		base := strings.ToUpper(filepath.Base(path))
		linked := slices.ContainsFunc(c.links, func(link string) bool {
			target, inside, problem := linkTarget(link, p.Client.Endpoint, p.Repo)
			return inside && problem == "" && (target == path || strings.HasPrefix(path, target+"/"))
		})
		licence := strings.HasPrefix(base, "LICENSE") || strings.HasPrefix(base, "LICENCE") || strings.HasPrefix(base, "NOTICE")
		switch {
		case path == p.card:
		case licence, linked, slices.Contains(p.Also, path), strings.Contains(path, "imatrix") && filepath.Ext(path) == ".dat":
			out = append(out, path)
		default:
			p.pub.Stay = append(p.pub.Stay, path)
		}
	}
	p.pub.Stay = folded(p.pub.Stay, out)
	return append(out, p.card)
}

// folded is the files that stay, of a folder from which nothing goes its name alone.
func folded(stay, goes []string) []string {
	out := []string{}
	for _, path := range stay {
		if dir, _, deep := strings.Cut(path, "/"); deep && !slices.ContainsFunc(goes, func(g string) bool { return strings.HasPrefix(g, dir+"/") }) {
			path = dir + "/"
		}
		if len(out) == 0 || out[len(out)-1] != path {
			out = append(out, path)
		}
	}
	return out
}

// tree are all paths of the repository as it will be.
func (p *publisher) tree() []string {
	there := map[string]bool{}
	if p.head != nil {
		for _, f := range p.head.Files() {
			there[f.Path] = true
		}
	}
	for _, c := range p.pub.Commits {
		for _, a := range c.add {
			there[a.Path] = true
		}
		for _, name := range c.Delete {
			delete(there, name)
		}
	}
	return sortedKeys(there)
}

// checkNames holds the tree against the ways in which models are found.
func (p *publisher) checkNames() []string {
	models, tree := map[string]string{}, p.tree()
	for _, m := range p.going() {
		if !m.side {
			models[m.name()] = m.label
		}
	}
	for _, tag := range []string{"Q4_K_M", "Q8_0", ""} {
		if p.pub.Default == "" {
			p.pub.Default = hub.Resolve(tree, tag)
		}
	}
	return hub.CheckNames(tree, models)
}

// fill completes the plan for those who read it.
func (p *publisher) fill() {
	for i := range p.pub.Commits {
		c := &p.pub.Commits[i]
		for _, a := range c.add {
			f := PublishedFile{Path: a.Path, Bytes: a.Size, SHA256: a.SHA256, There: p.head != nil && p.head.Has(a)}
			for _, m := range p.f.sets {
				if m.name() == a.Path && !m.side {
					f.Tag = m.label
				}
			}
			if !f.There {
				c.Bytes += a.Size
			}
			c.Files = append(c.Files, a.Path)
			p.pub.Files = append(p.pub.Files, f)
		}
	}
}

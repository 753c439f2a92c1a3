package verify

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Set is a release: the files of one model, verified together. The source is opened and run once for all of them.
type Set struct {
	Name    string
	Members []Member
	Source  Provenance
	Subject Subject // what the files share: Reference, Text, Context, Chunks, Baseline, Runtime, Workers; its Source is not used

	Bounds      func(scheme string) Thresholds // laid over the defaults of a member's scheme; nil: none
	Checks      []Check                        // of each file; nil: Standard
	Hash        Hashing                        // of the files
	Repo        string                         // OWNER/NAME to publish to; empty: not known
	HoldRelease bool                           // a file that is held holds all others
	Private     []string                       // paths that may not appear in the report: folders of files, source and text
	Done        func(*Report) error            // called after each file; may be nil
	Progress    func(label, check string, done, total int64)
}

// Member is one file of a release, or one set of shards.
type Member struct {
	Label    string // short and unique in its set: Q4_K_M
	Scheme   string // chooses the bounds; empty: the file's own
	Optional bool   // may be held without failing the release
	Parts    []Part // at least one; the first names the file
	Open     func() (gguf.Source, error)
	Away     bool    // the files were deleted since: what is known of them stands, and tokenizer and template are not compared
	Known    *Report // of an earlier run; the checks are not run again, the comparison with siblings is
}

// Name is the file's, or that of the first of its shards.
func (m *Member) Name() string { return m.Parts[0].Name }

func (m *Member) bytes() (n int64) {
	for _, p := range m.Parts {
		n += p.Bytes
	}
	return n
}

// Part is a file on disk.
type Part struct {
	Name   string `json:"name"` // below the release's folder
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"` // empty: not known

	path     string // on this machine
	recorded string // SHA-256 that SHA256SUMS has, also of a file changed since
}

// Run verifies every file, compares them with each other, and says which may be published. The error is ctx's, or Done's.
func (s *Set) Run(ctx context.Context) (*Release, error) {
	common := &shared{}
	defer common.close()
	for i := range s.Members {
		if m := &s.Members[i]; m.Known == nil && !m.Away {
			common.peers = append(common.peers, peer{m.Name(), m.bytes(), m.Open})
		}
	}
	rel := &Release{repo: s.Repo, Name: s.Name, OnFailure: HoldFile, Source: s.Source}
	if s.HoldRelease {
		rel.OnFailure = HoldRelease
	}
	var prints []fingerprint
	for i := range s.Members {
		m := &s.Members[i]
		rep, print, err := s.verify(ctx, m, common)
		if err != nil {
			return nil, err
		}
		rel.Files, prints = append(rel.Files, rep), append(prints, print)
		if print.keys != nil {
			rel.template(m.Label, print.template)
		}
		if rep.Measured != nil && rep.Measured.Divergence != nil {
			rel.Baseline = &rep.Measured.Divergence.BasePPL
		}
		if m.Known == nil && s.Done != nil {
			if err := s.Done(rep); err != nil {
				return nil, err
			}
		}
	}
	if s.Subject.Reference != nil {
		rel.template("source", templateOf(s.Subject.Reference.Metadata()))
	}
	if len(rel.Templates) < 2 {
		rel.Templates = nil
	}
	s.compare(rel.Files, prints)
	rel.scope(&s.Subject)
	rel.Judge()
	return rel, nil
}

// verify runs one member's checks, and takes the fingerprint of its header.
func (s *Set) verify(ctx context.Context, m *Member, common *shared) (*Report, fingerprint, error) {
	if m.Away && m.Known != nil {
		return m.Known, fingerprint{}, ctx.Err()
	}
	src, err := m.Open()
	if err != nil {
		return s.unopened(m, err), fingerprint{}, ctx.Err()
	}
	if c, ok := src.(io.Closer); ok {
		defer c.Close()
	}
	print := fingerprintOf(src)
	if m.Known != nil {
		m.Known.describe(m, src)
		return m.Known, print, nil
	}
	sub := s.Subject
	sub.Name, sub.Scheme, sub.Source, sub.shared = m.Name(), m.Scheme, src, common
	if sub.Scheme == "" {
		sub.Scheme = SchemeOf(src.Metadata())
	}
	if s.Bounds != nil {
		sub.Thresholds = s.Bounds(sub.Scheme)
	}
	sub.Progress = func(check string, done, total int64) {
		if s.Progress != nil {
			s.Progress(m.Label, check, done, total)
		}
	}
	hashes := map[string]string{}
	if s.Hash.wants(m.Parts) {
		sub.hashes = hashes
	}
	rep, err := Run(ctx, &sub, s.checks())
	if err != nil {
		return nil, print, err
	}
	if s.Hash.wants(m.Parts) {
		rep.add("hash", hashParts(ctx, m.Parts, hashes))
	}
	rep.describe(m, src)
	rep.scrub(s.Private)
	return rep, print, ctx.Err()
}

func (s *Set) checks() []Check {
	opened := Check{Name: "open", Structural: true, Run: func(_ context.Context, s *Subject) Result {
		return Resultf(Pass, "%d tensors", len(s.Source.Tensors()))
	}}
	if s.Checks != nil {
		return append([]Check{opened}, s.Checks...)
	}
	return append([]Check{opened}, Standard()...)
}

// unopened is the report of a file whose header cannot be read: nothing else can be said of it.
func (s *Set) unopened(m *Member, err error) *Report {
	rep := &Report{Name: m.Name(), Scheme: m.Scheme, Status: Fail}
	for i, c := range s.checks() {
		r := NewResult(NotApplicable, "not run: open failed")
		if i == 0 {
			r = failure(err)
		}
		r.Name = c.Name
		rep.Checks = append(rep.Checks, r)
	}
	rep.describe(m, nil)
	rep.scrub(s.Private)
	return rep
}

// describe adds what the member's name, files and header tell.
func (r *Report) describe(m *Member, src gguf.Source) {
	r.Label, r.Optional, r.Files = m.Label, m.Optional, m.Parts
	r.Bytes, r.BPW, r.ExpertBPW = m.bytes(), None(), None()
	if src != nil {
		r.BPW = bitsPerWeight(src, func(names.Class) bool { return true })
		r.ExpertBPW = bitsPerWeight(src, func(c names.Class) bool { return c == names.RoutedExpert })
		r.Licence, _ = gguf.Value[string](src.Metadata(), "general.license")
		r.Imatrix, _ = gguf.Value[string](src.Metadata(), "quantize.imatrix.file")
	}
	if r.Measured != nil {
		r.Quality = qualityOf(r)
	}
}

// bitsPerWeight is that of the tensors of some classes; None where there are none.
func bitsPerWeight(src gguf.Source, which func(names.Class) bool) Number {
	var bytes, weights int64
	for _, t := range src.Tensors() {
		if which(names.ClassOf(t.Name)) {
			bytes += t.Bytes()
			weights += t.Shape.Elements()
		}
	}
	if weights == 0 {
		return None()
	}
	return Number(significant(8*float64(bytes)/float64(weights), 6))
}

// scrub takes paths of this machine out of everything that a check said.
func (r *Report) scrub(private []string) {
	clean := func(text *string) { *text = WithoutPaths(*text, private) }
	for i := range r.Checks {
		c := &r.Checks[i]
		clean(&c.Detail)
		for j := range c.Problems {
			clean(&c.Problems[j].Message)
		}
	}
	for i := range r.Notes {
		clean(&r.Notes[i])
	}
	if r.Experts != nil {
		for i := range r.Experts.Damage {
			clean(&r.Experts.Damage[i].Message)
		}
	}
}

// WithoutPaths makes names below private folders relative to them.
func WithoutPaths(text string, private []string) string {
	paths := slices.Clone(private)
	slices.SortFunc(paths, func(a, b string) int { return len(b) - len(a) }) // the longest first: folders lie in each other
	for _, p := range paths {
		if p = strings.TrimRight(p, "/"); p == "" || p == "." {
			continue
		}
		text = strings.ReplaceAll(text, p+"/", "")
		if strings.ContainsRune(p, '/') {
			text = strings.ReplaceAll(text, p, p[strings.LastIndexByte(p, '/')+1:])
		}
	}
	return text
}

// add files a result that compares the file with others.
func (r *Report) add(name string, c Result) {
	c.Name = name
	r.Checks = slices.DeleteFunc(r.Checks, func(old Result) bool { return old.Name == name })
	r.Checks = append(r.Checks, c)
	r.rejudge()
}

// rejudge is the status by all checks.
func (r *Report) rejudge() {
	r.Status = Pass
	for _, c := range r.Checks {
		r.Status = Worse(r.Status, c.Status)
	}
	r.judge()
}

// failing is the first check that fails, as a reason to hold the file; empty for none.
func (r *Report) failing() string {
	for _, c := range r.Checks {
		if c.Status == Fail {
			return fmt.Sprintf("%s: %s", c.Name, shorten(c.Detail, 120))
		}
	}
	return ""
}

// shorten cuts a line that is too long for a table.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

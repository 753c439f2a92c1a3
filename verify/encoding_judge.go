package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// made is how a unit was encoded.
type made int

const (
	unknown     made = iota // neither way, by another encoder, or in part
	asMatrix                // with the importance matrix at hand
	plainly                 // without any
	either                  // both ways give the same
	withAnother             // with an importance matrix that is not at hand
)

// made tells how the unit was encoded. Without a matrix at hand one that cannot be without is one with another.
func (a again) made() made {
	plain, matrix := a.is(a.plain), a.entry && a.is(a.matrix)
	switch {
	case a.blocks == 0 || plain && (matrix || !weighed[a.info.Type]):
		return either
	case matrix:
		return asMatrix
	case plain:
		return plainly
	case weighed[a.info.Type] && a.isNot(a.plain) && (!a.entry || a.isNot(a.matrix)):
		return withAnother
	}
	return unknown
}

// encodings sorts the units of a file by how they were made.
type encodings struct {
	*Subject
	units  []again
	count  map[made]int
	claims bool // the metadata name an importance matrix
	r      Result
}

func (s *Subject) judgeEncoding(units []again) Result {
	e := &encodings{Subject: s, units: units, count: map[made]int{}, r: NewResult(Pass, "")}
	_, e.claims = s.Source.Metadata().Get("quantize.imatrix.file")
	blocks, equal := 0, 0
	for _, a := range units {
		if a.err != nil {
			e.r.Find(Problem{Tensor: a.info.Name, Expert: a.expert, Message: a.err.Error(), Damage: "unreadable", warn: true})
			continue
		}
		e.count[a.made()]++
		blocks, equal = blocks+a.blocks, equal+max(a.plain, a.matrix)
	}
	share := float64(equal) / float64(max(1, blocks))
	e.r.Figure = Number(share)
	e.r.figure("blocks", float64(blocks))
	if s.Imatrix.Len() > 0 {
		e.withMatrix()
	} else {
		e.without()
	}
	if e.r.Status == NotApplicable {
		return e.r
	}
	what := "encoded again have the same bytes"
	if s.Imatrix.Len() == 0 && e.count[withAnother] > 0 {
		what = "are as without one; --imatrix compares the others"
	}
	e.r.summarize(fmt.Sprintf("%s: %.4g%% of %d blocks %s", e.how(), 100*share, blocks, what))
	return e.r
}

// how says how the file was made.
func (e *encodings) how() string {
	switch {
	case e.count[asMatrix] > 0:
		return "made with " + e.Imatrix.Name()
	case e.claims || e.count[withAnother] > 0:
		return "made with an importance matrix"
	}
	return "made without an importance matrix"
}

// withMatrix judges a file that is said to be made with the matrix at hand.
func (e *encodings) withMatrix() {
	e.compareClaims()
	for _, a := range e.units {
		m := a.made()
		switch {
		case a.err != nil || m == either || m == asMatrix || !a.entry && m == plainly:
		case m == unknown:
			e.find(a, true, "encoding", "its bytes are not those of encoding the source again: by another encoder, or from other values")
		case m == plainly:
			e.find(a, false, "imatrix-mix", "encoded without an importance matrix, though "+e.Imatrix.Name()+" has an entry for it")
		case a.entry:
			e.find(a, e.foreign(), "imatrix-mix", "not encoded with "+e.Imatrix.Name()+": with another importance matrix, or a stale one")
		default:
			e.find(a, e.foreign(), "imatrix-mix", "encoded with another importance matrix: "+e.Imatrix.Name()+" has no entry for it")
		}
	}
}

// foreign reports whether nothing in the file can be reproduced, so that the encoder or the values are others.
func (e *encodings) foreign() bool { return e.count[asMatrix]+e.count[plainly]+e.count[either] == 0 }

// compareClaims holds what the metadata say of the matrix against the one at hand.
func (e *encodings) compareClaims() {
	md := e.Source.Metadata()
	for key, have := range map[string]int64{"quantize.imatrix.entries_count": int64(e.Imatrix.Len()), "quantize.imatrix.chunks_count": e.Imatrix.Chunks()} {
		if n, err := md.Int(key); err == nil && n != have {
			e.r.Find(Problem{Expert: -1, warn: true, Damage: "imatrix-mix", Message: fmt.Sprintf("%s is %d, %s has %d: the file says it was made with another", key, n, e.Imatrix.Name(), have)})
		}
	}
	if !e.claims {
		e.r.Find(Problem{Expert: -1, warn: true, Message: "the metadata name no importance matrix"})
	}
}

// without judges a file of which no matrix is at hand: what was made plainly and what was not must not be mixed.
func (e *encodings) without() {
	if e.count[plainly]+e.count[withAnother]+e.count[unknown] == 0 {
		if e.count[either] == len(e.units) {
			return
		}
		e.r.Status = NotApplicable
		return
	}
	e.mixtures()
	switch {
	case e.r.Status == Fail:
	case e.count[plainly] == 0 && e.count[either] == 0:
		e.r.Status = NotApplicable
		e.r.Detail = "bytes cannot be reproduced: the encoder, the type in between or the importance matrix is another"
		if e.claims {
			file, _ := gguf.Value[string](e.Source.Metadata(), "quantize.imatrix.file")
			e.r.Detail = fmt.Sprintf("made with the importance matrix %s, without which bytes cannot be compared", file)
		}
	case e.claims && e.count[withAnother]+e.count[unknown] == 0 && slices.ContainsFunc(e.units, e.wantsEntry):
		e.r.Find(Problem{Expert: -1, Damage: "imatrix-mix", Message: "the metadata name an importance matrix, but every tensor is encoded without one"})
	}
}

// mixtures finds tensors of one role, or experts of one tensor, that were made in different ways.
func (e *encodings) mixtures() {
	type group struct{ plain, other []again }
	roles := map[string]*group{}
	for _, a := range e.units {
		m := a.made()
		if a.err != nil || m == either && weighed[a.info.Type] || a.blocks == 0 {
			continue
		}
		key := roleOf(a.info.Name) + " " + a.info.Type.String()
		if roles[key] == nil {
			roles[key] = &group{}
		}
		if m == plainly || m == either {
			roles[key].plain = append(roles[key].plain, a)
		} else {
			roles[key].other = append(roles[key].other, a)
		}
	}
	var alone []again // plain, and nothing of their kind is not
	others := 0
	for _, key := range slices.Sorted(maps.Keys(roles)) {
		g := roles[key]
		if others += len(g.other); len(g.other) == 0 {
			alone = append(alone, slices.DeleteFunc(slices.Clone(g.plain), func(a again) bool { return !weighed[a.info.Type] || !e.wantsEntry(a) })...)
		}
		switch {
		case len(g.other) == 0 || e.count[plainly]+e.count[either] == 0:
		case len(g.plain) == 0 && !e.claims:
			e.find(g.other[0], true, "encoding", fmt.Sprintf("none of the tensors %s has the bytes of encoding the source again, others have", strings.Fields(key)[0]))
		case len(g.plain) == 0:
		case len(g.plain) <= len(g.other):
			// Values rounded on another way to the quantizer change a part of the blocks, a matrix most.
			near := slices.ContainsFunc(g.other, func(a again) bool { return !a.isNot(a.plain) })
			for _, a := range g.plain {
				if !e.idle(a) {
					e.find(a, near || e.lacking(), "imatrix-mix", "encoded without an importance matrix, others of its kind with one")
				}
			}
		default:
			for _, a := range g.other {
				e.find(a, !a.isNot(a.plain), "imatrix-mix", "encoded with an importance matrix or from other values, others of its kind without and from the source's")
			}
		}
	}
	if e.r.Status != Fail && 4*len(alone) < others {
		for _, a := range alone {
			e.find(a, true, "imatrix-mix", "encoded without an importance matrix, most others with one: the matrix has no entry for it, or it is another file's")
		}
	}
}

// wantsEntry reports whether a unit is encoded without a matrix that would have an entry for it: embedding and output have
// none.
func (e *encodings) wantsEntry(a again) bool {
	return a.made() == plainly && names.Parse(a.info.Name).Block >= 0 && !e.idle(a)
}

// idle reports whether a tensor lies in a block that does not run (of multi-token prediction), of which no matrix has entries.
func (e *encodings) idle(a again) bool {
	md := e.Source.Metadata()
	blocks, _ := md.Int(md.ModelKey("block_count"))
	extra, _ := md.Int(md.ModelKey("nextn_predict_layers"))
	return e.claims && int64(names.Parse(a.info.Name).Block) >= blocks-extra
}

// lacking reports whether the matrix the metadata speak of may lack entries: it has not more than there are matrices that
// were encoded with one.
func (e *encodings) lacking() bool {
	entries, err := e.Source.Metadata().Int("quantize.imatrix.entries_count")
	matrices := int64(0)
	for _, t := range e.Source.Tensors() {
		if n := names.Parse(t.Name); n.Block >= 0 && n.Suffix == "weight" && len(t.Shape) > 1 && !convolution(n.Role) {
			matrices++
		}
	}
	plain := map[string]bool{}
	for _, a := range e.units {
		if a.made() == plainly && names.Parse(a.info.Name).Block >= 0 {
			plain[a.info.Name] = true
		}
	}
	return e.claims && (err != nil || entries+int64(len(plain)) <= matrices)
}

// convolution reports whether a tensor is no matrix that activations are multiplied by.
func convolution(r names.Role) bool {
	return strings.HasSuffix(string(r), "conv") || strings.HasSuffix(string(r), "conv1d")
}

func (e *encodings) find(a again, warn bool, damage, message string) {
	e.r.Find(Problem{Tensor: a.info.Name, Expert: a.expert, Message: message, Damage: damage, warn: warn})
}

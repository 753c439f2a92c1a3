package offload

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/gguf/names"
)

// Entry is the placement of one tensor.
type Entry struct {
	Tensor  int         `json:"-"` // index in the source's list
	Name    string      `json:"name"`
	Type    gguf.Type   `json:"-"`
	Bytes   int64       `json:"bytes"`
	Class   names.Class `json:"-"`
	Place   Place       `json:"place"`
	Storage Storage     `json:"storage"`
	Rule    string      `json:"rule,omitempty"`   // the pattern that placed it; empty: the default
	Buffer  string      `json:"buffer,omitempty"` // the place as the rule names it
	Copy    bool        `json:"copy,omitempty"`   // token embeddings a second time, as the output matrix of a tied model
	padded  int64       // bytes it takes in a device's buffer
}

// Sum is what lies in one place.
type Sum struct {
	Place   Place `json:"place"`
	Tensors int   `json:"tensors"`
	Bytes   int64 `json:"bytes"`        // of the tensors, exactly
	Buffer  int64 `json:"buffer_bytes"` // of the buffer llama.cpp would allocate: on a device, tensors are padded
}

// Ledger lists where every tensor of a model lies.
type Ledger struct {
	Entries   []Entry
	Warnings  []string // rules that changed nothing
	ExpertRAM int64    // bytes of the cache that streamed experts go through
	opts      Options
}

// Stored is what is kept in one way.
type Stored struct {
	Storage Storage `json:"storage"`
	Tensors int     `json:"tensors"`
	Bytes   int64   `json:"bytes"`
}

// rule is a compiled placement rule.
type rule struct {
	Override
	re     *regexp.Regexp
	layers int  // only blocks below this number; -1: all tensors
	user   bool // given with -ot
	hits   int  // tensors whose name it matches
	placed int  // tensors it placed
}

// NewLedger places every tensor. It fails where Options.Validate does and on an override that matches no tensor.
// Metadata, which may be nil, only serves messages.
func NewLedger(md *gguf.Metadata, tensors []gguf.TensorInfo, opts Options) (*Ledger, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	l := &Ledger{opts: opts}
	rules := opts.rules()
	for i, t := range tensors {
		e, err := opts.place(i, t, rules)
		if err != nil {
			return nil, err
		}
		l.Entries = append(l.Entries, e)
	}
	if i := gguf.Find(tensors, names.TokenEmbd.Weight()); i >= 0 && gguf.Find(tensors, names.OutputWeight.Weight()) < 0 {
		t := tensors[i]
		l.Entries = append(l.Entries, Entry{Tensor: i, Name: t.Name, Type: t.Type, Bytes: t.Bytes(), Class: names.Output, Place: Device, Storage: l.Entries[i].Storage, Copy: true, padded: deviceBytes(t)})
	}
	return l, l.checkRules(rules, md)
}

// rules lists the rules in the order they are tried.
func (o Options) rules() []*rule {
	var out []*rule
	for _, r := range o.Overrides {
		out = append(out, &rule{Override: r, layers: -1, user: true})
	}
	moe := func(pattern string, layers int) {
		out = append(out, &rule{Override: Override{Pattern: pattern, Place: Host, Buffer: "CPU"}, layers: layers})
	}
	switch {
	case o.CPUMoE:
		moe(expert.Pattern, -1)
	case o.NCPUMoE > 0:
		moe(expert.Pattern, o.NCPUMoE)
	}
	if o.OffloadShared {
		layers := -1
		if o.NCPUMoE > 0 {
			layers = o.NCPUMoE
		}
		moe(expert.SharedPattern, layers)
	}
	for _, r := range out {
		r.re = regexp.MustCompile(r.Pattern) // Validate has compiled it before
	}
	return out
}

func (r *rule) matches(name string) bool {
	if r.layers >= 0 {
		if b := names.Parse(name).Block; b < 0 || b >= r.layers {
			return false
		}
	}
	return r.re.MatchString(name)
}

// place puts one tensor where the first matching rule says, else where llama.cpp puts it by default.
func (o Options) place(i int, t gguf.TensorInfo, rules []*rule) (Entry, error) {
	e := Entry{Tensor: i, Name: t.Name, Type: t.Type, Bytes: t.Bytes(), Class: names.ClassOf(t.Name), Place: Device, Storage: o.storage(t), padded: deviceBytes(t)}
	if e.Class == names.Embedding || names.Parse(t.Name).Role == "token_embd_norm" {
		e.Place = Host // tensors of the input layer never leave the host
	}
	placed := false
	for _, r := range rules {
		if !r.matches(t.Name) {
			continue
		}
		r.hits++
		if !placed {
			placed = true
			r.placed++
			e.Place, e.Rule, e.Buffer = r.Place, r.Pattern, r.Buffer
			if r.Storage == Streamed && !streamable(t) {
				return e, fmt.Errorf("offload: override %s=%s: tensor %q is no stack of routed experts, which alone are read in parts", r.Pattern, r.Buffer, t.Name)
			}
			e.Storage = cmp.Or(r.Storage, e.Storage)
		}
	}
	if placed && e.Buffer == "" {
		e.Buffer = string(e.Place)
	}
	return e, nil
}

// storage is how a tensor is kept that no rule is about.
func (o Options) storage(t gguf.TensorInfo) Storage {
	switch {
	case o.Stream && streamable(t):
		return Streamed
	case o.Map:
		return Mapped
	}
	return Resident
}

// streamable reports whether a tensor is matrices of routed experts.
func streamable(t gguf.TensorInfo) bool {
	n := names.Parse(t.Name)
	return n.Suffix == "weight" && names.ClassOf(t.Name) == names.RoutedExpert && len(t.Shape) == 3
}

// checkRules turns rules without effect into an error (the user's) or a warning (the flags').
func (l *Ledger) checkRules(rules []*rule, md *gguf.Metadata) error {
	for _, r := range rules {
		switch {
		case r.user && r.hits == 0:
			return fmt.Errorf("offload: override %s=%s matches no tensor", r.Pattern, r.Buffer)
		case r.user && r.placed == 0:
			l.Warnings = append(l.Warnings, fmt.Sprintf("override %s=%s places nothing: earlier rules take all %d tensors it matches", r.Pattern, r.Buffer, r.hits))
		case !r.user && r.hits == 0:
			l.Warnings = append(l.Warnings, l.noMatch(r, md))
		}
	}
	return nil
}

func (l *Ledger) noMatch(r *rule, md *gguf.Metadata) string {
	if r.Pattern == expert.SharedPattern {
		return "MoE: 0 shared expert tensors matched"
	}
	msg := "MoE: 0 expert tensors matched"
	if r.layers >= 0 {
		msg = fmt.Sprintf("%s in the first %d layers", msg, r.layers)
	}
	if slices.ContainsFunc(l.Entries, func(e Entry) bool { return e.Class == names.RoutedExpert }) {
		return msg
	}
	if md != nil {
		if n, err := md.Int(md.ArchKey("expert_count")); err == nil && n > 0 {
			return fmt.Sprintf("%s: the metadata tells of %d experts but the file has no stacked expert tensors; convert the checkpoint again", msg, n)
		}
	}
	return msg + ": the model has no routed experts"
}

// Sums adds up tensors and bytes by place: device first, then host.
func (l *Ledger) Sums() []Sum {
	out := []Sum{{Place: Device}, {Place: Host}}
	for _, e := range l.Entries {
		for i := range out {
			if out[i].Place == e.Place {
				out[i].Tensors++
				out[i].Bytes += e.Bytes
				if e.Place == Device {
					out[i].Buffer += e.padded
				} else {
					out[i].Buffer += e.Bytes
				}
			}
		}
	}
	return out
}

// The padding of tensors in the buffers of llama.cpp's CUDA backend: rows of quantized types to 512 elements
// (only the tensor's last row takes room for it), tensors to 128 bytes.
const (
	rowPadding  = 512
	tensorAlign = 128
)

// deviceBytes is what a tensor takes in a device's buffer.
func deviceBytes(t gguf.TensorInfo) int64 {
	n := t.Bytes()
	if rest := t.Shape.NE(0) % rowPadding; t.Type.Quantized() && rest != 0 {
		if pad, err := t.Type.RowBytes(rowPadding - rest); err == nil {
			n += pad
		}
	}
	return (n + tensorAlign - 1) / tensorAlign * tensorAlign
}

// Bytes is the number of bytes in a place.
func (l *Ledger) Bytes(p Place) int64 {
	for _, s := range l.Sums() {
		if s.Place == p {
			return s.Bytes
		}
	}
	return 0
}

// Storage adds up tensors and bytes by how they are kept. A tied model's copy of the embeddings is none of its own.
func (l *Ledger) Storage() []Stored {
	out := []Stored{{Storage: Resident}, {Storage: Mapped}, {Storage: Streamed}}
	for _, e := range l.Entries {
		for i := range out {
			if out[i].Storage == e.Storage && !e.Copy {
				out[i].Tensors++
				out[i].Bytes += e.Bytes
			}
		}
	}
	return out
}

// Sizes is what a ledger's tensors take of memory, in bytes.
type Sizes struct {
	Resident, Mapped int64
	Streamed         int64 // all experts that are streamed, if they were in memory
	Expert           int64 // the largest of them
}

// Sizes adds up the tensors that the ledger was made of.
func (l *Ledger) Sizes(tensors []gguf.TensorInfo) Sizes {
	var s Sizes
	blocks := map[int]int64{}
	for _, e := range l.Entries {
		switch {
		case e.Copy:
		case e.Storage == Resident:
			s.Resident += e.Bytes
		case e.Storage == Mapped:
			s.Mapped += e.Bytes
		default:
			t := tensors[e.Tensor]
			block, one := names.Parse(t.Name).Block, ExpertBytes(t)
			blocks[block] += one
			s.Streamed += one * t.Shape.NE(2)
			s.Expert = max(s.Expert, blocks[block])
		}
	}
	return s
}

// Moved counts the tensors of a class that rules put on the host, and their bytes.
func (l *Ledger) Moved(c names.Class) (tensors int, bytes int64) {
	for _, e := range l.Entries {
		if e.Class == c && e.Rule != "" && e.Place == Host {
			tensors++
			bytes += e.Bytes
		}
	}
	return tensors, bytes
}

// largest names the three largest tensors of a place.
func (l *Ledger) largest(p Place) string {
	var on []Entry
	for _, e := range l.Entries {
		if e.Place == p {
			on = append(on, e)
		}
	}
	slices.SortStableFunc(on, func(a, b Entry) int { return cmp.Compare(b.Bytes, a.Bytes) })
	msg := ""
	for _, e := range on[:min(3, len(on))] {
		msg += fmt.Sprintf(" %s (%.2f MiB)", e.Name, mib(e.Bytes))
	}
	return msg
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

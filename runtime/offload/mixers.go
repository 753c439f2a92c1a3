package offload

import (
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// mixers are the sizes of what mixes positions in each block: attention or something recurrent.
type mixers struct {
	blocks           int // that are run
	kv               []int64
	keys             []bool // the block has a projection for keys
	recurrent        []bool
	dims, windowDims headDims
	latent           bool
	state            int64 // bytes of a recurrent block
	window, every    int
	pattern          []bool // windows by block; nil: by every
	shared           int    // blocks at the end that use the keys and values of others
}

// headDims are the elements of one head.
type headDims struct{ key, value int64 }

// maxWidth bounds sizes that metadata claim.
const maxWidth = 1 << 24

// sizes collects the errors of look-ups; keys are without the architecture.
type sizes struct {
	md  *gguf.Metadata
	err error
}

func (s *sizes) get(key string, def int64) int64 {
	key = s.md.ArchKey(key)
	if _, ok := s.md.Get(key); !ok {
		return def
	}
	n, err := s.md.Int(key)
	if err == nil && (n < 0 || n > maxWidth) {
		err = fmt.Errorf("offload: key %s is %d", key, n)
	}
	if err != nil && s.err == nil {
		s.err = err
	}
	return n
}

// list is a number for each block, from a list or one number for all.
func (s *sizes) list(key string, blocks int, def int64) []int64 {
	out := make([]int64, blocks)
	v, _ := s.md.Get(s.md.ArchKey(key))
	var at func(i int) int64
	n := 0
	switch v := v.(type) {
	case []int32:
		n, at = len(v), func(i int) int64 { return int64(v[i]) }
	case []uint32:
		n, at = len(v), func(i int) int64 { return int64(v[i]) }
	default:
		one := s.get(key, def)
		n, at = blocks, func(int) int64 { return one }
	}
	if n < blocks {
		s.err = fmt.Errorf("offload: key %s has numbers of %d blocks, there are %d", s.md.ArchKey(key), n, blocks)
		return out
	}
	for i := range out {
		if out[i] = at(i); out[i] < 0 || out[i] > maxWidth {
			s.err = fmt.Errorf("offload: key %s is %d for block %d", s.md.ArchKey(key), out[i], i)
			out[i] = 0
		}
	}
	return out
}

func newMixers(md *gguf.Metadata, tensors []gguf.TensorInfo, w Windows) (*mixers, error) {
	s := &sizes{md: md}
	all := int(s.get("block_count", 0))
	m := &mixers{blocks: all - int(s.get("nextn_predict_layers", 0)), shared: int(s.get("attention.shared_kv_layers", 0))}
	if s.err == nil && (m.blocks < 1 || all > len(tensors)) {
		return nil, fmt.Errorf("offload: key %s is %d in a model of %d tensors", md.ArchKey("block_count"), all, len(tensors))
	}
	if s.err != nil {
		return nil, s.err
	}
	heads := s.list("attention.head_count", m.blocks, 0)
	most := int64(0)
	for _, h := range heads {
		most = max(most, h)
	}
	m.kv = s.list("attention.head_count_kv", m.blocks, most)
	def := s.get("embedding_length", 0) / max(1, most)
	m.dims = headDims{s.get("attention.key_length", def), s.get("attention.value_length", def)}
	m.windowDims = headDims{s.get("attention.key_length_swa", m.dims.key), s.get("attention.value_length_swa", m.dims.value)}
	m.latent = s.get("attention.key_length_mla", 0) > 0 && s.get("attention.value_length_mla", 0) > 0
	m.readWindows(s, w)
	m.readState(s)
	return m, m.find(tensors, s.err)
}

// readWindows reads which blocks have windows; a size of 0 in the file means none.
func (m *mixers) readWindows(s *sizes, w Windows) {
	size := int(s.get("attention.sliding_window", int64(w.Size)))
	if !w.On || size == 0 {
		return
	}
	m.window, m.every = size, w.Every
	if w.Size > 0 {
		m.window = w.Size
	}
	const pattern = "attention.sliding_window_pattern"
	switch v, _ := s.md.Get(s.md.ArchKey(pattern)); v := v.(type) {
	case nil:
	case []bool:
		m.pattern = v
	case []int32, []uint32:
		for _, n := range s.list(pattern, m.blocks, 0) {
			m.pattern = append(m.pattern, n != 0)
		}
	default:
		m.every = int(s.get(pattern, 0))
	}
}

// readState is llama_hparams::n_embd_r and n_embd_s: what convolutions still see, and the state.
func (m *mixers) readState(s *sizes) {
	inner, groups, state := s.get("ssm.inner_size", 0), s.get("ssm.group_count", 0), s.get("ssm.state_size", 0)
	seen := max(0, s.get("ssm.conv_kernel", 0)-1) * (inner + 2*groups*state)
	if n := s.get("shortconv.l_cache", 0); n > 0 {
		seen = s.get("embedding_length", 0) * (n - 1)
	}
	if seen > 1<<48 || seen < 0 {
		s.err = fmt.Errorf("offload: a block keeps %d elements of state", seen)
	}
	m.state = stateBytes * (seen + inner*state)
}

// find learns from the tensors what each block is.
func (m *mixers) find(tensors []gguf.TensorInfo, err error) error {
	m.keys, m.recurrent = make([]bool, m.blocks), make([]bool, m.blocks)
	joint := make([]bool, m.blocks)
	for _, t := range tensors {
		n := names.Parse(t.Name)
		if n.Block < 0 || n.Block >= m.blocks || err != nil {
			continue
		}
		switch r := n.Role; {
		case strings.HasPrefix(string(r), "indexer."):
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("offload: tensor %s: the cache of an index of keys is not predicted", t.Name)}
		case isRecurrent(r):
			m.recurrent[n.Block] = true
		case r == names.AttnK || strings.HasPrefix(string(r), "attn_kv_"):
			m.keys[n.Block] = true
		case r == "attn_qkv":
			joint[n.Block] = true
		}
	}
	for b, all := range joint {
		m.keys[b] = m.keys[b] || all && !m.recurrent[b] // linear attention has the joint projection too
		if err == nil && m.recurrent[b] && m.state == 0 {
			err = fmt.Errorf("offload: block %d is recurrent, but no key of the metadata tells the size of its state", b)
		}
		if err == nil && m.attends(b) && max(m.dims.key, m.dims.value, m.windowDims.key, m.windowDims.value)*m.kv[b] > maxWidth {
			err = fmt.Errorf("offload: block %d has %d key-value heads of %d elements", b, m.kv[b], m.dims.key)
		}
	}
	return err
}

// attends reports whether a block caches keys.
func (m *mixers) attends(b int) bool { return m.keys[b] && m.kv[b] > 0 && b < m.blocks-m.shared }

func (m *mixers) windowed(b int) bool {
	switch {
	case m.window == 0:
		return false
	case m.pattern != nil:
		return b < len(m.pattern) && m.pattern[b]
	}
	return m.every == 0 || b%m.every < m.every-1
}

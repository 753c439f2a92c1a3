package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/testdata"
)

// realModel is a published model as far as its plan depends on it: config.json, the weights' names and shapes.
// The figures are those of the files that were released (reference/requirements.md, rows 2 to 7).
type realModel struct {
	name    string
	arch    string
	config  string
	tensors func(add func(name, dtype string, shape ...int64))
	shards  int

	sentencePiece bool

	params, active       int64
	embedding            int64
	count, f32, expert   int
	experts, used, share int
	layers               int
	outType              string             // whose size was published
	gib, gb              float64            // to one decimal
	schemes              map[string]float64 // GiB, to two decimals
}

var realModels = []realModel{{
	name: "deepseek-moe-16b-base", arch: "deepseek",
	config: `{"architectures": ["DeepseekForCausalLM"], "attention_bias": false, "bos_token_id": 100000, "eos_token_id": 100001,
		"first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 10944, "max_position_embeddings": 4096,
		"model_type": "deepseek", "moe_intermediate_size": 1408, "moe_layer_freq": 1, "n_routed_experts": 64, "n_shared_experts": 2,
		"norm_topk_prob": false, "num_attention_heads": 16, "num_experts_per_tok": 6, "num_hidden_layers": 28, "num_key_value_heads": 16,
		"rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000, "scoring_func": "softmax", "tie_word_embeddings": false,
		"torch_dtype": "bfloat16", "vocab_size": 102400}`,
	tensors: deepseekTensors(28, 64), shards: 7,
	params: 16375728128, active: 2828650496, embedding: 209715200, count: 363, f32: 84, expert: 81, experts: 64, used: 6, share: 2, layers: 27,
	outType: "f16", gib: 30.5, gb: 32.8,
	schemes: map[string]float64{"Q8_0": 16.21, "Q4_K_M": 10.10, "Q2_K": 6.24},
}, gptOSS, phiMoE}

func deepseekTensors(layers, experts int) func(add func(name, dtype string, shape ...int64)) {
	return func(add func(name, dtype string, shape ...int64)) { addDeepseek(layers, experts, add) }
}

func addDeepseek(layers, experts int, add func(name, dtype string, shape ...int64)) {
	addDeepseekDims(dims{hidden: 2048, ff: 10944, moe: 1408, vocab: 102400}, layers, experts, add)
}

// dims are a model's dimensions.
type dims struct{ hidden, ff, moe, vocab int64 }

func addDeepseekDims(d dims, layers, experts int, add func(name, dtype string, shape ...int64)) {
	hidden, ff, moe, vocab := d.hidden, d.ff, d.moe, d.vocab
	ffn := func(prefix string, n int64) {
		add(prefix+"gate_proj.weight", "BF16", n, hidden)
		add(prefix+"up_proj.weight", "BF16", n, hidden)
		add(prefix+"down_proj.weight", "BF16", hidden, n)
	}
	add("model.embed_tokens.weight", "BF16", vocab, hidden)
	for b := range layers {
		l := fmt.Sprintf("model.layers.%d.", b)
		for _, p := range []string{"q", "k", "v", "o"} {
			add(l+"self_attn."+p+"_proj.weight", "BF16", hidden, hidden)
		}
		add(l+"input_layernorm.weight", "BF16", hidden)
		add(l+"post_attention_layernorm.weight", "BF16", hidden)
		if b == 0 {
			ffn(l+"mlp.", ff)
			continue
		}
		add(l+"mlp.gate.weight", "BF16", int64(experts), hidden)
		for x := range experts {
			ffn(fmt.Sprintf("%smlp.experts.%d.", l, x), moe)
		}
		ffn(l+"mlp.shared_experts.", 2*moe)
	}
	add("model.norm.weight", "BF16", hidden)
	add("lm_head.weight", "BF16", vocab, hidden)
}

// TestRealDimensions plans published models from headers alone and finds the published figures.
func TestRealDimensions(t *testing.T) {
	for _, m := range realModels {
		t.Run(m.name, func(t *testing.T) {
			if _, ok := family.ForArch(m.arch); !ok {
				t.Logf("the family %s is not part of this build", m.arch)
				return
			}
			start := time.Now()
			p, err := convert.NewPlan(virtualCheckpoint(t, m), convert.Options{Name: m.name, Pre: m.pre()})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			o := planOptions{split: "50G", types: []string{"Q8_0", "Q4_K_M"}}
			if err := o.parse(); err != nil {
				t.Fatal(err)
			}
			var doc planDoc
			if err := doc.fill(p, p, &o); err != nil {
				t.Fatal(err)
			}
			t.Logf("planned in %v", time.Since(start))
			m.check(t, &doc)
		})
	}
}

// pre is the pre-tokenizer of a vocabulary that is not the model's own.
func (m *realModel) pre() string {
	if m.sentencePiece {
		return ""
	}
	return "deepseek-llm"
}

func (m *realModel) check(t *testing.T, d *planDoc) {
	t.Helper()
	for _, s := range d.Schemes {
		if want, ok := m.schemes[s.Name]; ok && math.Abs(s.GiB-want) > 0.01 {
			t.Errorf("%s: %d bytes, %.3f GiB, want %.2f", s.Name, s.Bytes, s.GiB, want)
		}
	}
	if d.Parameters != (recipes.Parameters{Total: m.params, Active: m.active, Embedding: m.embedding}) {
		t.Errorf("parameters %+v, want %d, %d, %d", d.Parameters, m.params, m.active, m.embedding)
	}
	if d.Tensors != (planTensors{m.count, m.f32, m.expert}) {
		t.Errorf("tensors %+v, want %d, %d F32, %d of experts", d.Tensors, m.count, m.f32, m.expert)
	}
	if e := d.Experts; e.Count != m.experts || e.Used != m.used || e.Shared != int64(m.share) || e.Layers != m.layers {
		t.Errorf("experts %+v", e)
	}
	for _, s := range d.Conversions {
		if s.Name != m.outType {
			continue
		}
		t.Logf("%s: %d bytes, %.4f GiB, %.4f GB, %d shards", s.Name, s.Bytes, s.GiB, s.GB, s.Shards)
		if math.Abs(s.GiB-m.gib) > 0.05 || math.Abs(s.GB-m.gb) > 0.05 {
			t.Errorf("%s: %.2f GiB, %.2f GB, want %.1f, %.1f", s.Name, s.GiB, s.GB, m.gib, m.gb)
		}
		if want := 1 + int(s.Bytes/50e9); s.Shards != want {
			t.Errorf("%s: %d shards of 50G, want %d", s.Name, s.Shards, want)
		}
		return
	}
	t.Errorf("no size of %s", m.outType)
}

// virtualCheckpoint has real headers and settings, and weights that nobody may read. Its vocabulary is a small one,
// filled up to the model's size.
func virtualCheckpoint(t *testing.T, m realModel) fs.FS {
	t.Helper()
	v := virtualFS{MapFS: fstest.MapFS{"config.json": {Data: []byte(m.config)}}, shards: map[string]*virtualShard{}}
	tokenizer := []string{"families/deepseek-moe/deepseek-moe-16b-chat/tokenizer.json", "families/deepseek-moe/deepseek-moe-16b-chat/tokenizer_config.json"}
	if m.sentencePiece {
		tokenizer = []string{"families/mixtral-8/Mixtral-8x7B-Instruct-v0.1/tokenizer.model"}
	}
	for _, name := range tokenizer {
		b, err := os.ReadFile(testdata.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		v.MapFS[path.Base(name)] = &fstest.MapFile{Data: b}
	}
	headers := make([]map[string]any, m.shards)
	ends := make([]int64, m.shards)
	index := map[string]string{}
	n, total := 0, 0
	m.tensors(func(string, string, ...int64) { total++ })
	m.tensors(func(name, dtype string, shape ...int64) {
		i := n * m.shards / total
		n++
		size := map[string]int64{"BF16": 2, "U8": 1}[dtype]
		for _, d := range shape {
			size *= d
		}
		if headers[i] == nil {
			headers[i] = map[string]any{}
		}
		headers[i][name] = map[string]any{"dtype": dtype, "shape": shape, "data_offsets": []int64{ends[i], ends[i] + size}}
		ends[i] += size
		index[name] = shardFile(i, m.shards)
	})
	for i, h := range headers {
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		head := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
		v.shards[shardFile(i, m.shards)] = &virtualShard{t: t, name: shardFile(i, m.shards), head: head, size: int64(len(head)) + ends[i]}
	}
	text, err := json.Marshal(map[string]any{"weight_map": index})
	if err != nil {
		t.Fatal(err)
	}
	v.MapFS["model.safetensors.index.json"] = &fstest.MapFile{Data: text}
	return v
}

func shardFile(i, n int) string { return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n) }

type virtualFS struct {
	fstest.MapFS
	shards map[string]*virtualShard
}

func (v virtualFS) Open(name string) (fs.File, error) {
	if s, ok := v.shards[name]; ok {
		return s, nil
	}
	if strings.HasSuffix(name, ".safetensors") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return v.MapFS.Open(name)
}

func (v virtualFS) Stat(name string) (fs.FileInfo, error) {
	if s, ok := v.shards[name]; ok {
		return s, nil
	}
	return v.MapFS.Stat(name)
}

// virtualShard is a weight file whose data nobody may read.
type virtualShard struct {
	t    *testing.T
	name string
	head []byte
	size int64
}

func (s *virtualShard) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(s.head)) {
		s.t.Errorf("%s: %d bytes at %d are read: data of the weights", s.name, len(p), off)
		return 0, errors.New("no data here")
	}
	return copy(p, s.head[off:]), nil
}

func (s *virtualShard) Stat() (fs.FileInfo, error) { return s, nil }
func (s *virtualShard) Read([]byte) (int, error)   { return 0, io.ErrNoProgress }
func (s *virtualShard) Close() error               { return nil }
func (s *virtualShard) Name() string               { return s.name }
func (s *virtualShard) Size() int64                { return s.size }
func (s *virtualShard) Mode() fs.FileMode          { return 0o444 }
func (s *virtualShard) ModTime() time.Time         { return time.Time{} }
func (s *virtualShard) IsDir() bool                { return false }
func (s *virtualShard) Sys() any                   { return nil }

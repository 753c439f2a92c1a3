package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
)

// slowFS is a checkpoint whose weights are noise that comes at so many bytes a second, whoever reads.
type slowFS struct {
	virtualFS
	rate float64
	read atomic.Int64 // bytes of weights

	mu   sync.Mutex
	free time.Time // when the next read may end
}

func (s *slowFS) Open(name string) (fs.File, error) {
	if shard, ok := s.shards[name]; ok {
		return slowShard{shard, s}, nil
	}
	return s.virtualFS.Open(name)
}

// wait lasts as long as n bytes take.
func (s *slowFS) wait(n int) {
	s.read.Add(int64(n))
	s.mu.Lock()
	if now := time.Now(); s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
	until := s.free
	s.mu.Unlock()
	time.Sleep(time.Until(until))
}

type slowShard struct {
	*virtualShard
	fs *slowFS
}

func (s slowShard) ReadAt(p []byte, off int64) (int, error) {
	head := int64(len(s.head))
	if off+int64(len(p)) <= head {
		return s.virtualShard.ReadAt(p, off)
	}
	s.fs.wait(len(p))
	n := 0
	if off < head {
		n = copy(p, s.head[off:])
	}
	for n < len(p) {
		n += copy(p[n:], noisyBytes[(off+int64(n)-head)%int64(len(noisyBytes)):])
	}
	return len(p), nil
}

// noisyBytes are BF16 values of about +-0.01.
var noisyBytes = func() []byte {
	b := make([]byte, 1<<20)
	for i := 0; i < len(b); i += 2 {
		v := uint32(i) * 2654435761
		b[i], b[i+1] = byte(v>>24), byte(v>>16)&0x80|0x3c
	}
	return b
}()

// slowModel has 63 MB of weights.
var slowModel = realModel{
	config: `{"architectures": ["DeepseekForCausalLM"], "attention_bias": false, "bos_token_id": 900, "eos_token_id": 901, "first_k_dense_replace": 1,
		"hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 2048, "max_position_embeddings": 4096, "model_type": "deepseek",
		"moe_intermediate_size": 512, "moe_layer_freq": 1, "n_routed_experts": 8, "n_shared_experts": 2, "norm_topk_prob": false,
		"num_attention_heads": 16, "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 16, "rms_norm_eps": 1e-06,
		"rope_scaling": null, "rope_theta": 10000, "scoring_func": "softmax", "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 960}`,
	shards: 2,
	tensors: func(add func(name, dtype string, shape ...int64)) {
		addDeepseekDims(dims{hidden: 1024, ff: 2048, moe: 512, vocab: 960}, 2, 8, add)
	},
}

// slowRate is that of a slow disk.
const slowRate = 200e6

// TestSlowSource: behind a slow reader three outputs in one pass read what one reads, and take at most 1.3 times as long
// as the slowest of them alone.
func TestSlowSource(t *testing.T) {
	schemes := []string{"Q8_0", "Q4_0", "Q5_1"}
	rounds := 15         // other tests share the cores
	if testing.Short() { // times are left to the full test
		rounds, schemes = 1, schemes[:2]
	}
	best := make([]time.Duration, 1+len(schemes)) // all together, then each alone
	for round := range rounds {
		read := make([]int64, len(best))
		for i := range best {
			list := schemes
			if i > 0 {
				list = schemes[i-1 : i]
			}
			took, n := writeSlowly(t, list)
			if read[i] = n; round == 0 || took < best[i] {
				best[i] = took
			}
		}
		if n := slices.Max(read); slices.Min(read) != n {
			t.Fatalf("bytes read: %d together, %d alone", read[0], read[1:])
		}
		if float64(best[0]) <= 1.3*float64(slices.Max(best[1:])) {
			t.Logf("%v together, %v alone", best[0], best[1:])
			return
		}
	}
	if !testing.Short() {
		t.Errorf("%v together, %v alone", best[0], best[1:])
	}
}

// writeSlowly writes the model in these schemes in one pass, and tells how many bytes of weights were read.
func writeSlowly(t *testing.T, schemes []string) (time.Duration, int64) {
	t.Helper()
	fsys := &slowFS{virtualFS: virtualCheckpoint(t, slowModel).(virtualFS), rate: slowRate}
	p, err := convert.NewPlan(fsys, convert.Options{OutType: "auto", Pre: "deepseek-llm"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dir := t.TempDir()
	var job gguf.Job
	var jobs []*quantize.Job
	for i, name := range schemes {
		scheme, err := quantize.ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		j, err := quantize.New(p, scheme, quantize.Options{})
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
		job.Outputs = append(job.Outputs, gguf.Output{Name: filepath.Join(dir, fmt.Sprintf("%d.gguf", i)), Source: j})
	}
	batch, err := quantize.NewBatch(jobs...)
	if err != nil {
		t.Fatal(err)
	}
	job.Rows = batch.ReadRows
	start := time.Now()
	if _, err := job.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return time.Since(start), fsys.read.Load()
}

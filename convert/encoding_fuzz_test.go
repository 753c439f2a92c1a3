package convert

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
)

// FuzzEncoding makes sources of any header and any settings: what is accepted can be read, and nothing panics.
func FuzzEncoding(f *testing.F) {
	const block = `{"quant_method":"fp8","weight_block_size":[4,4]}`
	for _, seed := range [][2]string{
		{block, `{"a.weight":{"dtype":"F8_E4M3","shape":[5,6],"data_offsets":[0,30]},"a.weight_scale_inv":{"dtype":"F32","shape":[2,2],"data_offsets":[30,46]}}`},
		{`{"quant_method":"fp8"}`, `{"a":{"dtype":"F8_E5M2","shape":[2,3,2],"data_offsets":[0,12]},"a_scale_inv":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]}}`},
		{`{"quant_method":"modelopt"}`, `{"a.weight":{"dtype":"I8","shape":[2,4],"data_offsets":[0,8]},"a.weight_scale":{"dtype":"F8_E8M0","shape":[],"data_offsets":[8,9]}}`},
		{`{"quant_method":"compressed-tensors","format":"int-quantized","config_groups":{"g":{"weights":{"strategy":"group","group_size":2}}}}`,
			`{"a.weight":{"dtype":"I8","shape":[2,4],"data_offsets":[0,8]},"a.weight_scale":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]}}`},
		{`{"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"g":{"weights":{"num_bits":4,"strategy":"group","group_size":4}}}}`,
			`{"a.weight_packed":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]},"a.weight_scale":{"dtype":"F16","shape":[2,3],"data_offsets":[16,28]},"a.weight_shape":{"dtype":"I32","shape":[2],"data_offsets":[28,36]},"a.weight_zero_point":{"dtype":"I32","shape":[1,3],"data_offsets":[36,48]}}`},
		{`{"quant_method":"gptq","bits":8,"group_size":4}`,
			`{"a.qweight":{"dtype":"I32","shape":[2,4],"data_offsets":[0,32]},"a.qzeros":{"dtype":"I32","shape":[2,1],"data_offsets":[32,40]},"a.scales":{"dtype":"F16","shape":[2,4],"data_offsets":[40,56]},"a.g_idx":{"dtype":"I32","shape":[8],"data_offsets":[56,88]}}`},
		{`{"quant_method":"bitnet"}`, `{"a.weight":{"dtype":"U8","shape":[2,4],"data_offsets":[0,8]},"a.weight_scale":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`},
		{`{"quant_method":"mxfp4"}`, `{"a_blocks":{"dtype":"U8","shape":[1,2,16],"data_offsets":[0,32]},"a_scales":{"dtype":"U8","shape":[1,2],"data_offsets":[32,34]}}`},
	} {
		f.Add(seed[0], seed[1], make([]byte, dataBytes(seed[1])))
	}
	f.Fuzz(func(t *testing.T, settings, header string, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		c, err := family.ParseConfig([]byte(`{"quantization_config":` + settings + `}`))
		if err != nil {
			return
		}
		file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
		ckpt, err := safetensors.Open(fstest.MapFS{"model.safetensors": {Data: append(file, data...)}})
		if err != nil {
			return
		}
		defer ckpt.Close()
		sources, err := resolveSources(c, ckpt)
		if err != nil {
			return
		}
		for _, s := range sources {
			rows, cols := rowsIn(s.view.shape()), width(s.view)
			w := window{rows / 2, rows - rows/2, cols / 3, cols - cols/3}
			if w.n == 0 || w.cols == 0 {
				continue
			}
			if n := w.bytes(s.view); n > 64<<12 {
				t.Fatalf("%s: %d bytes of values from a file of %d", s.name, n, len(data))
			}
			_ = s.view.read(context.Background(), w, make([]byte, w.bytes(s.view))) // errors are fine
			s.view.origin(w.row, w.col)
		}
	})
}

// dataBytes is the largest offset of a header.
func dataBytes(header string) int64 {
	var tensors map[string]tensorHeader
	if err := json.Unmarshal([]byte(header), &tensors); err != nil {
		panic(err) // a seed
	}
	n := int64(0)
	for _, h := range tensors {
		n = max(n, h.Offsets[1])
	}
	return n
}

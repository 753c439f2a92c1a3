package family

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// The hashes are of what LlamaModel.generate_extra_tensors of llama.cpp 0.5.0 (0c1e57098) yields with torch 2.15.
func TestLlama3Rope(t *testing.T) {
	for _, tt := range []struct{ name, config, sha256 string }{
		{"Llama-3.1-8B", `{"head_dim": 128, "rope_theta": 500000.0, "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}}`,
			"8b516af9cb5db26ed32831eb6f493dd620843d1cd69ca7bbad760c76061cd565"},
		{"Llama-3.2-1B", `{"hidden_size": 2048, "num_attention_heads": 32, "rope_parameters": {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3", "rope_theta": 500000.0}}`,
			"d25a6d176d9313062b8f86440c88649f9e568d573ea66bfa4e85e2424cf35633"},
		{"Llama-4-Scout", `{"head_dim": 128, "rope_theta": 500000.0, "rope_scaling": {"factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}}`,
			"0c026dd6594836df02f09c8c3c189ccc923391e12eb9c970e406c7daa744443b"},
		{"nothing but the type", `{"head_dim": 80, "rope_scaling": {"rope_type": "llama3"}}`, "547be9871e977a83feda7ea2eb7e259ae280b08dc657a110cec216bc380dae97"},
	} {
		c, err := ParseConfig([]byte(tt.config))
		if err != nil {
			t.Fatal(err)
		}
		made := llama3Rope(c)
		if err := c.Err(); err != nil || len(made) != 1 {
			t.Errorf("%s: %d tensors, %v", tt.name, len(made), err)
			continue
		}
		var raw []byte
		for _, f := range made[0].Values {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != tt.sha256 {
			t.Errorf("%s: sha256 %x of %v", tt.name, sum, made[0].Values)
		}
	}
}

// Heads too large for a table of divisors are errors, and so are scalings without numbers.
func TestRopeRefusals(t *testing.T) {
	for config, want := range map[string]string{
		`{"head_dim": 1000000, "rope_scaling": {"rope_type": "llama3"}}`:                   "too large",
		`{"head_dim": 64, "rope_scaling": {"rope_type": "llama3", "factor": "8"}}`:         "must be a number",
		`{"head_dim": 64, "rope_scaling": {"rope_type": 3}}`:                               "must be a string",
		`{"head_dim": 64, "rope_theta": [1], "rope_scaling": {"rope_type": "llama3"}}`:     "must be a number",
		`{"head_dim": 64, "rope_scaling": {"rope_type": "llama3", "low_freq_factor": {}}}`: "must be a number",
	} {
		c, err := ParseConfig([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if made := llama3Rope(c); made != nil || c.Err() == nil || !strings.Contains(c.Err().Error(), want) {
			t.Errorf("%s: %d tensors, error %v, want %q", config, len(made), c.Err(), want)
		}
	}
}

// value is a JSON text as a config holds it.
func value(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

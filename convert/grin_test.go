package convert

import (
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// The reference does not know GRIN-MoE's class. Its golden is what the reference makes of the same checkpoint where
// config.json says PhiMoEForCausalLM, and original_max_position_embeddings 4096, its max_position_embeddings:
// testdata/micro/golden.py with {"config": {...}} in fixture.json, for the fixture of the full set.
func TestGRIN(t *testing.T) {
	if !testdata.Full() {
		return // micro/grin has all there is to see
	}
	ck := testdata.Checkpoint{Family: "grin-moe", Dir: testdata.Path("families/grin-moe/GRIN-MoE"), Golden: "testdata/grin-moe", Micro: true}
	for _, ot := range sampleOutTypes() {
		t.Run(ot, func(t *testing.T) { checkGolden(t, ck, ot) })
	}
}

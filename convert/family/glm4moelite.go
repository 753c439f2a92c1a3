package family

import "github.com/moeconv/moeconv/gguf"

// GLM-4.7-Flash: a DeepSeek-V3 whose blocks of multi-token prediction are kept.
func init() {
	register(Family{
		Arch:     "deepseek2",
		Variant:  true,
		Classes:  []string{"Glm4MoeLiteForCausalLM"},
		Example:  "zai-org/GLM-4.7-Flash",
		Only:     deepseek2Only,
		Check:    checkLatent,
		Adjust:   glm4MoeLiteCommon,
		Keys:     glm4MoeLiteKeys,
		Rules:    latentRules,
		Contract: latentContract,
		Required: latentRequired,
		Optional: latentOptional,
		Vocab:    []string{"glm"},
		Pre:      []string{"glm4"},
	})
}

func glm4MoeLiteCommon(c Config) Config {
	return deepseek2Common(c).WithInt("num_hidden_layers", c.Int("num_hidden_layers")+c.IntOr("num_nextn_predict_layers", 0))
}

func glm4MoeLiteKeys(c Config, md *gguf.Metadata) error {
	if err := deepseek2Keys(c, md); err != nil {
		return err
	}
	if n := c.IntOr("num_nextn_predict_layers", 0); n > 0 {
		md.Set(md.ArchKey("nextn_predict_layers"), uint32(n))
	}
	return c.Err()
}

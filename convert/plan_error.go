package convert

import (
	"fmt"
	"strings"
)

// UnknownTensorError says that the family has no place for a source tensor.
type UnknownTensorError struct{ Name string }

func (e *UnknownTensorError) Error() string {
	return fmt.Sprintf("convert: cannot map tensor %q: the family has no such tensor", e.Name)
}

// Hint is advice for the user.
func (e *UnknownTensorError) Hint() string {
	if strings.HasSuffix(e.Name, ".bias") {
		return "biases are not part of this family; is config.json the one of these weights?"
	}
	return "is config.json the one of these weights? An adapter or a fine-tuning framework may have added tensors"
}

// MissingExpertError says which expert of a layer is incomplete.
type MissingExpertError struct {
	Layer, Expert int
	Missing       []string // the ends of the missing tensors' names: gate_proj.weight
	Have, Want    int      // routed expert tensors of the layer
}

func (e *MissingExpertError) Error() string {
	return fmt.Sprintf("convert: layer %d: expert %d has no %s (%d of %d expert tensors)", e.Layer, e.Expert, strings.Join(e.Missing, ", "), e.Have, e.Want)
}

// Hint is advice for the user.
func (e *MissingExpertError) Hint() string {
	return "a shard may be missing or config.json may name another number of experts; download the checkpoint again"
}

// MissingTensorError says that a source tensor every loader needs is not in the checkpoint.
type MissingTensorError struct {
	Source string // of the checkpoint
	Tensor string // of the file
	Why    string
	Strays []string // weight files that were not read
}

func (e *MissingTensorError) Error() string {
	s := fmt.Sprintf("convert: required tensor %q is missing (it becomes %s)", e.Source, e.Tensor)
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

// Hint is advice for the user.
func (e *MissingTensorError) Hint() string {
	if len(e.Strays) > 0 {
		return strayHint(e.Strays)
	}
	return "the checkpoint is incomplete; download it again and check that all shards are there"
}

// strayHint says where tensors may be that were not found.
func strayHint(strays []string) string {
	return fmt.Sprintf("%s lies beside the shards, but model.safetensors.index.json does not name it, so it was not read: add its tensors to weight_map", strings.Join(strays, ", "))
}

// MissingLayersError says that the checkpoint ends before config.json's last layer.
type MissingLayersError struct {
	Layers, Last int      // of config.json; the highest that has tensors, -1 for none
	Extra        int      // of Layers, those of multi-token prediction
	Strays       []string // weight files that were not read
}

func (e *MissingLayersError) Error() string {
	what := fmt.Sprintf("num_hidden_layers is %d", e.Layers-e.Extra)
	if e.Extra > 0 {
		what += fmt.Sprintf(" and %d of multi-token prediction follow", e.Extra)
	}
	return fmt.Sprintf("convert: config.json: %s, but the checkpoint has no tensors of layers %d to %d", what, e.Last+1, e.Layers-1)
}

// Hint is advice for the user.
func (e *MissingLayersError) Hint() string {
	switch {
	case len(e.Strays) > 0:
		return strayHint(e.Strays)
	case e.Last >= e.Layers-e.Extra-1:
		n := e.Last + 1 - (e.Layers - e.Extra)
		return fmt.Sprintf("the checkpoint has %d layers of multi-token prediction: set num_nextn_predict_layers of config.json (mtp_num_hidden_layers for Qwen) to %[1]d", n)
	}
	return "shards are missing, or config.json is not the one of these weights"
}

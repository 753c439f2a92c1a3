package convert

import (
	"context"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// OutTypes are the values of Options.OutType but auto, largest files first.
var OutTypes = []string{"f32", "f16", "bf16", "q8_0"}

// Preview is the file that p would become with another OutType: names, shapes and types, for sizes. Its rows cannot be
// read, and general.file_type is p's own.
func (p *Plan) Preview(outType string) (gguf.Source, error) {
	ot, err := parseOutType(outType, p.ckpt.Tensors())
	if err != nil {
		return nil, err
	}
	v := preview{md: p.md}
	for i, t := range p.infos {
		t.Type = p.typeOf(&p.outs[i], ot)
		v.infos = append(v.infos, t)
	}
	return v, nil
}

// Sources lists the tensors of the checkpoint that a tensor is made from, none where config.json alone makes it.
func (p *Plan) Sources(tensor int) []string { return p.outs[tensor].from }

type preview struct {
	md    *gguf.Metadata
	infos []gguf.TensorInfo
}

func (v preview) Metadata() *gguf.Metadata   { return v.md }
func (v preview) Tensors() []gguf.TensorInfo { return v.infos }

func (v preview) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(v.infos, tensor, row, n, dst); err != nil {
		return err
	}
	return fmt.Errorf("convert: tensor %q: this is a preview, which has no rows", v.infos[tensor].Name)
}

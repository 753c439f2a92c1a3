package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/gguf"
)

// Plan is a checkpoint as a GGUF model: a gguf.Source, safe for concurrent reads.
type Plan struct {
	// Family is the model's family.
	Family *family.Family

	name     string
	ckpt     *safetensors.Checkpoint
	md       *gguf.Metadata
	infos    []gguf.TensorInfo
	outs     []output
	size     int64
	quirks   []Quirk
	warnings []string

	original  family.Original
	vocabOnly bool
	general   *generalResult
}

// NewPlan plans the conversion of the checkpoint at the root of fsys; it reads headers and tokenizer files only.
// What is valid but not implemented (family, dtype, tokenizer, a config that changes the graph) is a *gguf.UnsupportedError.
func NewPlan(fsys fs.FS, opts Options) (*Plan, error) {
	config, class, f, err := readConfig(fsys)
	if err != nil {
		return nil, err
	}
	p := &Plan{Family: f, name: opts.Name, vocabOnly: opts.VocabOnly}
	if err := p.openWeights(fsys, opts, config, class); err != nil {
		return nil, err
	}
	if err := p.plan(fsys, opts, config, class); err != nil {
		p.ckpt.Close()
		return nil, p.partial(err, opts)
	}
	return p, nil
}

// readConfig reads config.json and finds the family it names.
func readConfig(fsys fs.FS) (family.Config, string, *family.Family, error) {
	fail := func(err error) (family.Config, string, *family.Family, error) {
		return family.Config{}, "", nil, err
	}
	text, err := readText(fsys, "config.json")
	if err != nil {
		return fail(err)
	}
	if text == nil {
		return fail(errors.New("convert: no config.json: this is not a checkpoint directory"))
	}
	config, err := family.ParseConfig(text)
	if err != nil {
		return fail(fmt.Errorf("convert: %w", err))
	}
	if config, err = withQuantFile(fsys, config); err != nil {
		return fail(err)
	}
	class, err := config.Class()
	if err != nil {
		return fail(fmt.Errorf("convert: %w", err))
	}
	f, ok := family.Lookup(class)
	if !ok {
		return fail(&gguf.UnsupportedError{Msg: fmt.Sprintf("convert: config.json: architecture %s is not supported (%s)", class, supported())})
	}
	return config, class, f, nil
}

func supported() string {
	var out []string
	for _, f := range family.All() {
		out = append(out, f.Classes...)
	}
	return strings.Join(out, ", ")
}

func (p *Plan) plan(fsys fs.FS, opts Options, config family.Config, class string) error {
	config = p.infer(config)
	keys, err := p.planModel(opts.OutType, config, class)
	if err != nil {
		return err
	}
	if err := p.planMetadata(fsys, opts, config, keys); err != nil {
		return err
	}
	if err := p.override(opts); err != nil {
		return err
	}
	if err := family.CheckContract(p.md, p.infos); err != nil && !p.vocabOnly {
		return fmt.Errorf("convert: the file would not load: %w", err)
	}
	layout, err := gguf.Layout(p.md, p.infos)
	if err != nil {
		return wrap(err)
	}
	if p.size = layout.Size; p.vocabOnly {
		p.size = layout.HeaderSize
	}
	for _, name := range p.ckpt.Strays() {
		p.warnings = append(p.warnings, name+": lies beside the weights but is not one of their files, so it was not read")
	}
	for _, k := range config.Unread() {
		p.warnings = append(p.warnings, fmt.Sprintf("config.json: field %s is not known here and was ignored", k))
	}
	return nil
}

// planModel checks the config, makes the architecture's keys and plans the tensors: all but general and vocabulary metadata.
func (p *Plan) planModel(outType string, config family.Config, class string) (*gguf.Metadata, error) {
	if err := p.Family.CheckConfig(config, class); err != nil {
		return nil, wrap(err)
	}
	ot, err := parseOutType(outType, p.ckpt.Tensors())
	if err != nil {
		return nil, err
	}
	if p.Family.Original != nil {
		p.original = p.Family.Original(config)
	}
	keys := &gguf.Metadata{}
	keys.Set("general.architecture", p.Family.Arch)
	if config.Object("quantization_config")["quant_method"] == "mxfp4" && ot.base != gguf.Q8_0 && !p.vocabOnly {
		ot.fileType = fileTypeMXFP4
	}
	if err := p.Family.SetKeys(config, keys, ot.fileType); err != nil {
		return nil, wrap(err)
	}
	if p.vocabOnly {
		return keys, nil
	}
	return keys, p.planTensors(config, keys, ot)
}

// Original is what the checkpoint's model computes otherwise than llama.cpp does; false where the family knows without.
func (p *Plan) Original() (family.Original, bool) { return p.original, p.Family.Original != nil }

// infer completes the config by what the checkpoint's tensors tell.
func (p *Plan) infer(config family.Config) family.Config {
	if p.Family.Infer == nil {
		return config
	}
	var names []string
	for _, t := range p.ckpt.Tensors() {
		names = append(names, familyName(t.Name))
	}
	return p.Family.Infer(config, names)
}

// wrap names the package on an error that does not say what kind it is.
func wrap(err error) error {
	var unsupported *gguf.UnsupportedError
	if errors.As(err, &unsupported) {
		return err
	}
	return fmt.Errorf("convert: %w", err)
}

func (p *Plan) planTensors(config family.Config, keys *gguf.Metadata, ot outType) error {
	rules := p.Family.Rules(config)
	blocks, err := keys.Int(keys.ArchKey("block_count"))
	if err != nil {
		return fmt.Errorf("convert: config.json: num_hidden_layers is missing")
	}
	sources, err := resolveSources(config, p.ckpt)
	if err != nil {
		return err
	}
	if p.Family.Rename != nil {
		for i := range sources {
			sources[i].name = p.Family.Rename(config, sources[i].name)
		}
	}
	g, err := gather(rules, blocks, p.Family.BeyondBlocks(config), sources)
	if err == nil {
		err = g.compute(p.Family, config)
	}
	if err == nil {
		err = g.check(p.Family, config, keys)
	}
	if err != nil {
		return p.explain(err, blocks-config.IntOr("num_hidden_layers", blocks))
	}
	for i := range g.outs {
		out := &g.outs[i]
		out.info.Type = p.typeOf(out, ot)
		p.infos = append(p.infos, out.info)
	}
	p.outs = g.outs
	if gguf.Find(p.infos, "output.weight") >= 0 && config.Tied() {
		p.warnings = append(p.warnings, "config.json: tie_word_embeddings is true, but the checkpoint has an lm_head of its own, which is used as in the reference")
	}
	return config.Err()
}

// typeOf is the type of a tensor in a file of this output type. What is quantized in the checkpoint stays so.
func (p *Plan) typeOf(out *output, ot outType) gguf.Type {
	if elem := out.view.elem(); elem.Quantized() {
		return elem
	}
	return tensorType(out.info.Name, out.info.Shape, ot.base, p.Family.QuantizeRouter)
}

// explain tells an error about missing tensors what else is known: files that were not read, and how many of the
// blocks are of multi-token prediction.
func (p *Plan) explain(err error, extra int64) error {
	var layers *MissingLayersError
	var tensor *MissingTensorError
	switch {
	case errors.As(err, &layers):
		layers.Strays, layers.Extra = p.ckpt.Strays(), int(extra)
	case errors.As(err, &tensor):
		tensor.Strays = p.ckpt.Strays()
	}
	return err
}

// planMetadata writes all metadata in the reference converter's order.
func (p *Plan) planMetadata(fsys fs.FS, opts Options, config family.Config, keys *gguf.Metadata) error {
	card, err := readText(fsys, "README.md")
	if err != nil {
		return err
	}
	generation, err := readText(fsys, "generation_config.json")
	if err != nil {
		return err
	}
	general, err := generalMetadata(generalInput{
		Dir: opts.Name, Name: opts.ModelName, Card: card, Config: config.Fields(), GenerationConfig: generation, Override: opts.Metadata, Params: countParams(p.infos),
	})
	if err != nil {
		return err
	}
	p.general = general
	for _, key := range general.ignored {
		p.warnings = append(p.warnings, overrideFile+": key "+key+" is not one that it can set, here or in the reference; --override can")
	}
	p.md = &gguf.Metadata{}
	p.md.Set("general.architecture", p.Family.Arch)
	if p.Family.EarlyKeys != nil && !p.vocabOnly { // the reference writes them with the tensors
		if err := p.Family.EarlyKeys(config, p.md); err != nil {
			return wrap(err)
		}
	}
	for _, kv := range general.KVs {
		p.md.Set(kv.Key, kv.Value)
	}
	for k, v := range keys.All() {
		p.md.Set(k, v)
	}
	p.md.Set("general.quantization_version", uint32(2))
	return p.addVocab(fsys, opts, int(config.IntOr("vocab_size", 0)))
}

func (p *Plan) addVocab(fsys fs.FS, opts Options, size int) error {
	v, err := vocab.Load(fsys, vocab.Options{VocabSize: size, Pre: opts.Pre, Prefer: p.Family.Pre, Forms: p.Family.Vocab})
	if err != nil {
		return err
	}
	v.AddTo(p.md)
	for _, q := range v.Quirks() {
		p.quirks = append(p.quirks, Quirk(q))
	}
	p.warnings = append(p.warnings, v.Warnings()...)
	return nil
}

// Name is the name of the checkpoint's directory.
func (p *Plan) Name() string { return p.name }

// Close releases the checkpoint's files; the plan cannot be read afterwards.
func (p *Plan) Close() error { return p.ckpt.Close() }

// Metadata is the file's metadata. Nobody may change it: use gguf.WithMetadata.
func (p *Plan) Metadata() *gguf.Metadata { return p.md }

// Tensors lists the file's tensors in the reference converter's order.
func (p *Plan) Tensors() []gguf.TensorInfo { return p.infos }

// Units is the rows of an expert, of an attention head, of a strip that is transposed, or 1.
func (p *Plan) Units(tensor int) int { return int(p.outs[tensor].view.units()) }

// Size is the exact size in bytes of the file the plan becomes.
func (p *Plan) Size() int64 { return p.size }

// Quirks lists the reference's metadata defects that the plan reproduces.
func (p *Plan) Quirks() []Quirk { return p.quirks }

// Warnings lists what a reader of the checkpoint should know and no error stops.
func (p *Plan) Warnings() []string { return p.warnings }

// Shards lists the checkpoint's weight files.
func (p *Plan) Shards() []safetensors.ShardInfo { return p.ckpt.Shards() }

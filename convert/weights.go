package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// openWeights opens the weights that the options name, by default all of the checkpoint's.
func (p *Plan) openWeights(fsys fs.FS, opts Options, config family.Config, class string) error {
	var err error
	switch {
	case opts.Shards != nil:
		p.ckpt, err = safetensors.OpenFiles(fsys, opts.Shards)
	default:
		p.ckpt, err = safetensors.Open(fsys)
	}
	if err == nil {
		return nil
	}
	if opts.VocabOnly { // only the type of the weights would have been of use
		p.ckpt, err = safetensors.OpenFiles(fsys, nil)
		return err
	}
	if opts.Shards == nil && p.openNeeded(fsys, config, class) {
		return nil
	}
	var unsupported *safetensors.UnsupportedError
	if errors.As(err, &unsupported) {
		return &gguf.UnsupportedError{Msg: err.Error()}
	}
	return err
}

// openNeeded opens a checkpoint whose absent shards hold only what a conversion leaves out.
func (p *Plan) openNeeded(fsys fs.FS, config family.Config, class string) bool {
	ckpt, absent, err := safetensors.OpenPresent(fsys)
	if err != nil {
		return false
	}
	if len(absent) == 0 || !p.leavesOut(config, class, absent) {
		ckpt.Close()
		return false
	}
	p.ckpt = ckpt
	p.warnings = append(p.warnings, fmt.Sprintf("%d tensors that the index names are in shards that are not there; none is needed (%s)", len(absent), absent[0]))
	return true
}

// leavesOut reports whether a conversion needs none of the tensors.
func (p *Plan) leavesOut(config family.Config, class string, tensors []string) bool {
	keys := &gguf.Metadata{}
	keys.Set("general.architecture", p.Family.Arch)
	if p.Family.CheckConfig(config, class) != nil || p.Family.SetKeys(config, keys, 0) != nil {
		return false
	}
	blocks, err := keys.Int(keys.ArchKey("block_count"))
	if err != nil {
		return false
	}
	g := &gatherer{rules: p.Family.Rules(config), blocks: int(blocks), beyond: int(p.Family.BeyondBlocks(config))}
	g.matcher = family.NewMatcher(g.rules)
	for _, name := range tensors {
		if !g.leavesOut(name) {
			return false
		}
	}
	return true
}

// leavesOut reports whether add would pass over a tensor of that name.
func (g *gatherer) leavesOut(name string) bool {
	if isDropped(name) {
		return true
	}
	m, err := g.matcher.Match(name)
	if err != nil {
		return false
	}
	_, drop := g.rules[m.Rule].Op.(family.Drop)
	return drop || m.Block >= g.blocks && m.Block < g.blocks+g.beyond
}

// PartialError says why a plan failed that was made from some of a checkpoint's weight files.
type PartialError struct {
	Err   error
	Given int
	Other []string // weight files beside them
}

func (e *PartialError) Error() string {
	s := fmt.Sprintf("%v (read from %d weight file(s) alone", e.Err, e.Given)
	if n := len(e.Other); n > 0 {
		s += "; not given: " + strings.Join(e.Other[:min(n, 4)], ", ")
		if n > 4 {
			s += fmt.Sprintf(" and %d more", n-4)
		}
	}
	return s + ")"
}

// Unwrap is the plan's own error.
func (e *PartialError) Unwrap() error { return e.Err }

// Hint is advice for the user.
func (e *PartialError) Hint() string {
	return "give all weight files of the checkpoint, or its directory"
}

// partial tells an error about missing tensors which weight files the plan had.
func (p *Plan) partial(err error, opts Options) error {
	var (
		expert *MissingExpertError
		tensor *MissingTensorError
		layers *MissingLayersError
	)
	if opts.Shards == nil || !errors.As(err, &expert) && !errors.As(err, &tensor) && !errors.As(err, &layers) {
		return err
	}
	return &PartialError{Err: err, Given: len(opts.Shards), Other: p.ckpt.Strays()}
}

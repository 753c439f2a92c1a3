package recipes

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/recipes/hub"
)

// Defaults of the output names: {name} is the recipe's, {label} the scheme's or the extra output's.
const (
	defaultSingle  = "{name}-{label}.gguf"
	defaultSharded = "{name}-{label}/{name}-{label}.gguf"
	defaultContext = 512
)

// check validates everything that can be judged without the checkpoint, and fills in defaults.
func (r *Recipe) check() error {
	if r.Version != FormatVersion {
		return r.errorf("key moeconv: format %d, this version reads %d", r.Version, FormatVersion)
	}
	if r.Family == "" {
		r.Family = "auto"
	}
	if _, ok := family.ForArch(r.Family); r.Family != "auto" && !ok {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("recipes: %s: family %q is not known", r.origin, r.Family)}
	}
	if r.Outputs.Single == "" {
		r.Outputs.Single = defaultSingle
	}
	if r.Outputs.Sharded == "" {
		r.Outputs.Sharded = defaultSharded
	}
	if r.Verify.Context == 0 {
		r.Verify.Context = defaultContext
	}
	for _, step := range []func() error{r.checkName, r.checkImatrix, r.checkOutputs, r.checkVerify, r.checkFixes, r.checkMetadata, r.checkFiles, r.checkBench, r.checkCard, r.checkPublish} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recipe) errorf(format string, args ...any) error {
	return fmt.Errorf("recipes: %s: %s", r.origin, fmt.Sprintf(format, args...))
}

func (r *Recipe) checkName() error {
	if r.Name != filepath.Base(r.Name) && r.Name != "" {
		return r.errorf("key name: %q is not a plain file name", r.Name)
	}
	return nil
}

func (r *Recipe) checkOutputs() error {
	if len(r.Outputs.Types) == 0 && len(r.Outputs.Extra) == 0 {
		return r.errorf("key outputs.types: no types, nothing would be written")
	}
	labels := map[string]bool{}
	for _, o := range r.Wanted() {
		if _, err := quantize.ParseMix(o.Mix); err != nil {
			return r.errorf("key outputs: %v", err)
		}
		if _, err := quantize.ParseScheme(o.Type); err != nil {
			return r.errorf("key outputs: %v", err)
		}
		if o.Label != filepath.Base(o.Label) {
			return r.errorf("key outputs: label %q is not a plain file name", o.Label)
		}
		if labels[o.Label] {
			return r.errorf("key outputs: label %s is used twice", o.Label)
		}
		labels[o.Label] = true
		if err := r.checkOverrides(o); err != nil {
			return err
		}
	}
	for _, o := range r.Outputs.Optional {
		if !labels[o] {
			return r.errorf("key outputs.optional: no output has the label %s", o)
		}
	}
	for _, tmpl := range []string{r.Outputs.Single, r.Outputs.Sharded} {
		if !strings.Contains(tmpl, "{label}") || !strings.HasSuffix(tmpl, ".gguf") {
			return r.errorf("key outputs: name %q must hold {label} and end in .gguf", tmpl)
		}
	}
	if r.Disk != "" {
		if _, err := ParseSize(r.Disk); err != nil {
			return r.errorf("key disk: %v", err)
		}
	}
	if r.Outputs.Split.MaxSize != "" {
		if _, err := ParseSize(r.Outputs.Split.MaxSize); err != nil {
			return r.errorf("key outputs.split.max_size: %v", err)
		}
	}
	return nil
}

func (r *Recipe) checkOverrides(o Extra) error {
	for _, t := range []string{o.TokenEmbedding, o.Output} {
		if t == "" {
			continue
		}
		if _, err := gguf.ParseType(t); err != nil {
			return r.errorf("output %s: %v", o.Label, err)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(o.Tensors)) {
		if _, err := regexp.Compile(pattern); err != nil {
			return r.errorf("output %s: tensors: %v", o.Label, err)
		}
		if _, err := gguf.ParseType(o.Tensors[pattern]); err != nil {
			return r.errorf("output %s: tensors: %s: %v", o.Label, pattern, err)
		}
	}
	return nil
}

func (r *Recipe) checkVerify() error {
	switch v := &r.Verify; {
	case v.Reference == "":
		v.Reference = "source"
	case v.Reference != "source" && v.Reference != "none":
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("recipes: %s: key verify.reference: %q; this version knows source and none", r.origin, v.Reference)}
	}
	if r.Verify.Chunks < 0 || r.Verify.Context < 8 {
		return r.errorf("key verify: chunks %d, context %d: want at least 0 and 8", r.Verify.Chunks, r.Verify.Context)
	}
	if d, err := r.Verify.budget(); err != nil || d < 0 || d > 0 && r.Verify.Chunks > 0 {
		return r.errorf("key verify.budget: %q: want a time such as 10m, and no chunks beside it", r.Verify.Budget)
	}
	for scheme := range r.Verify.Bands {
		if _, err := quantize.ParseScheme(scheme); err != nil {
			return r.errorf("key verify.bands: %v", err)
		}
	}
	if err := r.Verify.Probes.Check(); err != nil {
		return r.errorf("key verify.probes: %v", err)
	}
	return nil
}

func (r *Recipe) checkPublish() error {
	t := r.Publish
	if _, ok := hub.ParseRepo(strings.ReplaceAll(t.Repo, "{name}", "name")); t.Repo != "" && !ok {
		return r.errorf("key publish.repo: %q is not OWNER/NAME", t.Repo)
	}
	for _, k := range []struct {
		key, value string
		known      []string
	}{{"visibility", t.Visibility, []string{"public", "private"}}, {"commit", t.Commit, []string{"per-type"}}, {"on_failure", t.OnFailure, []string{"hold-file", "hold-release"}}} {
		if k.value != "" && !slices.Contains(k.known, k.value) {
			return r.errorf("key publish.%s: %q; this version knows %s", k.key, k.value, strings.Join(k.known, ", "))
		}
	}
	return nil
}

// Wanted lists the outputs in the recipe's order: its types, then the extra ones.
func (r *Recipe) Wanted() []Extra {
	var out []Extra
	for _, t := range r.Outputs.Types {
		label := t
		if s, err := quantize.ParseScheme(t); err == nil {
			label = s.Name
		}
		out = append(out, Extra{Type: t, Label: label})
	}
	for _, e := range r.Outputs.Extra {
		if e.Label == "" {
			e.Label = e.Type
		}
		out = append(out, e)
	}
	return out
}

package recipes

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// maxCopied bounds a text that is copied beside a recipe.
const maxCopied = 64 << 20

// portable is the recipe as another machine can run it: without paths of this one, with the texts it names beside it.
// Weights of an importance matrix are not copied; the report has their hash.
func (r *Recipe) portable() (string, map[string][]byte, error) {
	c := *r
	files := map[string][]byte{}
	c.Source.Path = ""
	if c.Bench.When == benchEndpoint {
		c.Bench = Bench{} // an address of this network
	}
	keep := func(name string) (string, error) {
		base := filepath.Base(name)
		info, err := os.Stat(r.path(name))
		if err != nil {
			return "", err
		}
		if info.Size() > maxCopied {
			return base, nil
		}
		files[base], err = os.ReadFile(r.path(name))
		return base, err
	}
	var err error
	if t := c.Verify.Text; t != "" && !strings.HasPrefix(t, "embedded:") {
		if c.Verify.Text, err = keep(t); err != nil {
			return "", nil, r.errorf("key verify.text: %v", err)
		}
	}
	if t := c.Imatrix.Text; t.named() && (t.URL == "" || t.local != "") { // without the network it is the same run
		c.Imatrix.Text = Text{}
		if c.Imatrix.Text.File, err = keep(cmp.Or(t.local, t.File)); err != nil {
			return "", nil, r.errorf("key imatrix.text: %v", err)
		}
	}
	if c.Card.Template != "" {
		if c.Card.Template, err = keep(c.Card.Template); err != nil {
			return "", nil, r.errorf("key card.template: %v", err)
		}
	}
	c.Files = nil // made elsewhere: the report has their hashes
	if c.Imatrix.File != "" {
		c.Imatrix.File = filepath.Base(c.Imatrix.File)
	}
	c.Fixes = nil
	for _, fix := range r.Fixes {
		fix = maps.Clone(fix)
		for k, v := range fix {
			name, ok := strings.CutPrefix(fmt.Sprint(v), "file:")
			if !ok {
				continue
			}
			base, err := keep(name)
			if err != nil {
				return "", nil, r.errorf("key fixes.%s: %v", k, err)
			}
			fix[k] = "file:" + base
		}
		c.Fixes = append(c.Fixes, fix)
	}
	text, err := marshal(&c)
	return text, files, err
}

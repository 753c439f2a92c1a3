package safetensors

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Strays lists the weight files beside those that were read: not named by the index or, without one,
// not called model*. A publisher who adds layers in a file of its own (mtp.safetensors) easily forgets the index.
func (c *Checkpoint) Strays() []string { return c.strays }

// findStrays leaves out consolidated*, which are the same weights in another layout.
func (c *Checkpoint) findStrays(fsys fs.FS) error {
	found, err := fs.Glob(fsys, "*.safetensors")
	if err != nil {
		return err
	}
	c.strays = slices.DeleteFunc(found, func(name string) bool {
		return c.byShard[name] != nil || strings.HasPrefix(path.Base(name), "consolidated")
	})
	return nil
}

package main

import (
	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// knows reports whether the architecture that md names has a family; what is no
// model (an importance matrix) names none and is not asked.
func knows(md *gguf.Metadata) bool {
	arch, err := md.Architecture()
	if err != nil {
		return true
	}
	_, ok := family.ForArch(arch)
	return ok
}

// meet warns, once a run, of a file whose architecture has no family.
func (a *app) meet(md *gguf.Metadata) {
	if a.strange || knows(md) {
		return
	}
	a.strange = true
	arch, _ := md.Architecture()
	a.diag("warning: architecture %q is not known: names and metadata are all there is to go by, checks of its graph are not applicable", arch)
}

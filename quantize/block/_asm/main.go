// Command _asm writes the kernels of package block, one assembly file a run: -gen names it. It is a module
// of its own so that the generator's dependencies stay out of moeconv's; go generate in the parent folder runs it.
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
)

// generators write the functions of one assembly file each; init functions add theirs.
var generators = map[string]func(){}

func main() {
	name := flag.String("gen", "", "the `FILE` to write")
	flag.Parse()
	gen, ok := generators[*name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no generator %q\n", *name)
		os.Exit(2)
	}
	ConstraintExpr("amd64,!purego")
	gen()
	Generate()
}

// Package testdata holds the small fixtures and goldens that tests share, and the
// trained tiny model that the binary embeds so that an installed moeconv can prove
// itself anywhere. Its folders are laid out like the full fixture set's; with
// MOECONV_FIXTURES the same tests run over that set. NOTICE names every oracle.
package testdata

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
)

//go:embed tiny/tiny-moe-go tiny/golden/valid.txt
var embedded embed.FS

// TinyName is the directory name of the embedded checkpoint; the converter derives general.name from it.
const TinyName = "tiny-moe-go"

// Tiny is the embedded checkpoint: DeepSeek-MoE v1, trained on Go sources.
func Tiny() fs.FS {
	sub, err := fs.Sub(embedded, "tiny/"+TinyName)
	if err != nil {
		panic(err) // the embed directive above names the folder
	}
	return sub
}

// ValidText is the held-out text beside the tiny model.
func ValidText() string {
	b, err := embedded.ReadFile("tiny/golden/valid.txt")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Path is the path of a fixture: below $MOECONV_FIXTURES (taken relative to the
// module's root) where that is set, else below this folder.
func Path(elem ...string) string {
	_, file, _, _ := goruntime.Caller(0)
	root := filepath.Dir(file)
	if dir := os.Getenv("MOECONV_FIXTURES"); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(filepath.Dir(root), dir)
		}
		root = dir
	}
	return filepath.Join(append([]string{root}, elem...)...)
}

// Checkpoint is a model of a family with the reference converter's goldens beside it.
type Checkpoint struct {
	Family string // the fixture's name, such as deepseek-v3-fp8
	Dir    string
	Golden string // folder of the goldens
	Micro  bool   // of micro/, whose goldens are files.json and gguf-bf16.json alone
}

// Checkpoints lists the families' checkpoints: those of the fixtures and those of micro/, which live here alone.
func Checkpoints() []Checkpoint {
	_, file, _, _ := goruntime.Caller(0)
	out := checkpoints(Path("families"), false)
	return append(out, checkpoints(filepath.Join(filepath.Dir(file), "micro"), true)...)
}

func checkpoints(root string, micro bool) []Checkpoint {
	configs, err := filepath.Glob(filepath.Join(root, "*", "*", "config.json"))
	if err != nil {
		panic(err) // the pattern is constant
	}
	var out []Checkpoint
	for _, c := range configs {
		dir := filepath.Dir(c)
		family := filepath.Dir(dir)
		out = append(out, Checkpoint{filepath.Base(family), dir, filepath.Join(family, "golden"), micro})
	}
	return out
}

// Full reports whether tests run over the full fixture set.
func Full() bool { return os.Getenv("MOECONV_FIXTURES") != "" }

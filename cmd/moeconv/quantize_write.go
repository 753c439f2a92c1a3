package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/quantize"
)

// remakes are the flags, besides those that choose types, that an output depends on.
var remakes = []string{"via", "pre", "imatrix", "imatrix-holes", "include-weights", "exclude-weights", "override-kv", "prune-layers", "allow-requantize"}

// writeRules writes down the types of a job: as rules, or by the ending .yaml as a recipe for hf2gguf.
func writeRules(file string, job *quantize.Job, f *pflag.FlagSet) error {
	rules, err := job.Rules()
	if err != nil {
		return err
	}
	sum, err := job.Summary()
	if err != nil {
		return err
	}
	head := fmt.Sprintf("# %d bytes, %.4f bits per weight\n", sum.FileBytes, sum.BitsPerWeight)
	text := head + rulesText(file, sum.Scheme, rules, f)
	if ext := filepath.Ext(file); ext == ".yaml" || ext == ".yml" {
		if text, err = recipeText(file, sum.Scheme, rules, f); err != nil {
			return err
		}
		text = head + text
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o666)
}

// rulesText begins with the command that makes the output again.
func rulesText(file, scheme string, rules []quantize.Override, f *pflag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# moeconv quantize SRC -o FILE --type %s --tensor-type-file %s", scheme, quoted(filepath.Base(file)))
	for _, name := range remakes {
		for _, v := range given(f, name) {
			if name == "imatrix" {
				v = filepath.Base(v)
			}
			b.WriteString(" --" + name)
			if f.Lookup(name).NoOptDefVal == "" {
				b.WriteString(" " + quoted(v))
			}
		}
	}
	b.WriteString("\n")
	for _, r := range rules {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

// recipeText is a recipe whose only output has these types, and the bytes that quantize gives it.
func recipeText(file, scheme string, rules []quantize.Override, f *pflag.FlagSet) (string, error) {
	for _, name := range remakes {
		if len(given(f, name)) > 0 && name != "imatrix" && name != "imatrix-holes" {
			return "", usageError{fmt.Errorf("a recipe cannot say --%s: write rules to a file of another ending", name)}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# moeconv hf2gguf %s --model DIR\nmoeconv: 1\nsource: {}\ntag: false\n", quoted(filepath.Base(file)))
	for _, im := range given(f, "imatrix") {
		if rel, err := relative(filepath.Dir(file), im); err == nil {
			im = rel
		}
		fmt.Fprintf(&b, "imatrix:\n  file: %s\n", quotedAlways(filepath.ToSlash(im)))
		for _, holes := range given(f, "imatrix-holes") {
			fmt.Fprintf(&b, "  holes: %s\n", holes)
		}
	}
	label := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	fmt.Fprintf(&b, "outputs:\n  extra:\n    - type: %s\n      label: %s\n      tensors:\n", scheme, quotedAlways(label))
	for _, r := range rules {
		fmt.Fprintf(&b, "        %s: %s\n", quotedAlways(r.Pattern), r.Type.GGMLName())
	}
	b.WriteString("verify:\n  text: embedded:valid.txt\n  chunks: 4\n")
	return b.String(), nil
}

// relative is the path of a file as seen from a folder.
func relative(dir, file string) (string, error) {
	d, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	return filepath.Rel(d, abs)
}

// given are the values of a flag that the command line has.
func given(f *pflag.FlagSet, name string) []string {
	flag := f.Lookup(name)
	if !flag.Changed {
		return nil
	}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{flag.Value.String()}
}

// quoted is a word for a shell, quotedAlways in quotes that YAML and shells read alike unless it holds one.
func quoted(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/:=,", r)
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func quotedAlways(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

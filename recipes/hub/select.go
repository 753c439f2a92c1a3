package hub

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// NothingError says that a repository holds nothing of what a conversion reads.
type NothingError struct {
	Repo Repo
	What string
}

func (e *NothingError) Error() string { return fmt.Sprintf("hub: %s: %s", e.Repo, e.What) }

// Hint is advice for the user.
func (e *NothingError) Hint() string { return "--include '*.gguf' and the like choose files by name" }

const weightsIndex = "model.safetensors.index.json"

// Select lists what a download fetches, by name. With include these are the files that one of its patterns matches;
// without, what a conversion reads: config, tokenizer, chat templates, licence and card, and those .safetensors files
// that the index names. exclude takes files away in any case. Patterns are those of HuggingFace's client: * matches
// any text, slashes too.
func (f *FS) Select(include, exclude []string) ([]File, error) {
	keep, err := f.needed(include)
	if err != nil {
		return nil, err
	}
	drop, err := matcher(exclude)
	if err != nil {
		return nil, err
	}
	var out []File
	for _, file := range f.Files() {
		if keep(file.Path) && !drop(file.Path) {
			out = append(out, file)
		}
	}
	if len(out) == 0 {
		return nil, &NothingError{f.repo, "no file matches"}
	}
	return out, nil
}

// needed says of each name whether it is wanted.
func (f *FS) needed(include []string) (func(string) bool, error) {
	if len(include) > 0 {
		return matcher(include)
	}
	shards, err := f.shards()
	if err != nil {
		return nil, err
	}
	return func(name string) bool {
		if isWeights(name) {
			return slices.Contains(shards, name)
		}
		dir, base := path.Split(name)
		if dir != "" {
			return dir == "additional_chat_templates/" && path.Ext(name) == ".jinja"
		}
		if strings.HasSuffix(base, ".index.json") {
			return base == weightsIndex
		}
		stem, _, _ := strings.Cut(strings.ToUpper(base), ".")
		return slices.Contains([]string{".json", ".jinja", ".model", ".txt", ".md", ".tiktoken"}, path.Ext(base)) ||
			slices.Contains([]string{"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"}, stem)
	}, nil
}

// shards are the weight files of the checkpoint itself: a repository may hold them in other forms, too.
func (f *FS) shards() ([]string, error) {
	if _, ok := f.files[weightsIndex]; ok {
		data, err := fs.ReadFile(f, weightsIndex)
		if err != nil {
			return nil, err
		}
		var index struct {
			Map map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(data, &index); err != nil {
			return nil, fmt.Errorf("hub: %s: %w", at(f.repo, weightsIndex), err)
		}
		var out []string
		for _, shard := range index.Map {
			out = append(out, shard)
		}
		slices.Sort(out)
		return slices.Compact(out), nil
	}
	if _, ok := f.files["model.safetensors"]; ok {
		return []string{"model.safetensors"}, nil
	}
	var out []string
	for name := range f.files {
		if isWeights(name) && !strings.Contains(name, "/") {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return nil, &NothingError{f.repo, "there are no .safetensors weights"}
	}
	return out, nil
}

// matcher tells whether one of the patterns matches a name.
func matcher(patterns []string) (func(string) bool, error) {
	var all []*regexp.Regexp
	for _, p := range patterns {
		if strings.HasSuffix(p, "/") { // a folder
			p += "*"
		}
		re, err := regexp.Compile("^(?s:" + globRegexp(p) + ")$")
		if err != nil {
			return nil, fmt.Errorf("hub: pattern %q: %w", p, err)
		}
		all = append(all, re)
	}
	return func(name string) bool {
		return slices.ContainsFunc(all, func(re *regexp.Regexp) bool { return re.MatchString(name) })
	}, nil
}

// globRegexp translates the patterns of Python's fnmatch.
func globRegexp(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch c := p[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			end := strings.IndexByte(p[min(i+2, len(p)):], ']')
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			set := strings.ReplaceAll(p[i+1:i+2+end], `\`, `\\`)
			i += 2 + end
			if rest, ok := strings.CutPrefix(set, "!"); ok {
				set = "^" + rest
			} else if strings.HasPrefix(set, "^") {
				set = `\` + set
			}
			b.WriteString("[" + set + "]")
		default:
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		}
	}
	return b.String()
}

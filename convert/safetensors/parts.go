package safetensors

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// numbered is the name of one shard of a set: model-00001-of-00003.safetensors.
var numbered = regexp.MustCompile(`^(.*-)(\d{5})-of-(\d{5})\.safetensors$`)

// partNames lists the weight files of a checkpoint without an index, in reading order.
func partNames(fsys fs.FS) ([]string, error) {
	dir, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("safetensors: checkpoint directory: %w", err)
	}
	var names []string
	for _, e := range dir {
		if n := e.Name(); strings.HasPrefix(n, "model") && strings.HasSuffix(n, ".safetensors") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return nil, noWeights(dir)
	}
	return names, checkNumbered(names)
}

// checkNumbered refuses an incomplete set of numbered shards: without an index nothing else shows that tensors are missing.
func checkNumbered(names []string) error {
	for _, name := range names {
		m := numbered.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		count, _ := strconv.Atoi(m[3]) // five digits
		for i := 1; i <= count; i++ {
			want := fmt.Sprintf("%s%05d-of-%s.safetensors", m[1], i, m[3])
			if _, ok := slices.BinarySearch(names, want); !ok {
				return fileErrorf(want, "missing shard: %s is one of %d and there is no %s (unfinished download?)", name, count, indexName)
			}
		}
	}
	return nil
}

// noWeights says what is there instead.
func noWeights(dir []fs.DirEntry) error {
	for _, e := range dir {
		switch n := e.Name(); {
		case strings.HasPrefix(n, "consolidated") && strings.HasSuffix(n, ".safetensors"):
			return &UnsupportedError{n + ": weights in Mistral's own format; only the HuggingFace format (model*.safetensors) is read"}
		case strings.HasPrefix(n, "pytorch_model") && strings.HasSuffix(n, ".bin"), strings.HasSuffix(n, ".pth"), strings.HasSuffix(n, ".pt"):
			return &UnsupportedError{n + ": PyTorch pickle weights are not read (save the model as safetensors)"}
		case strings.HasSuffix(n, ".gguf"):
			return &UnsupportedError{n + ": the directory holds a GGUF file, not a checkpoint (name the file itself)"}
		}
	}
	return fileErrorf("model.safetensors", "no such file, and no %s: the directory holds no weights", indexName)
}

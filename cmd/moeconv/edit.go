package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
)

// header is the file that holds a model's metadata: the file itself, or the first shard of its set.
type header struct {
	*gguf.File
	path   string
	shards int // of the set, 1 for a file that is not split
}

// openHeader opens the file that holds the metadata of the model that name is, or is a shard of. The other
// shards need not be there.
func openHeader(name string) (*header, error) {
	f, err := gguf.OpenShard(name)
	if err != nil {
		return nil, err
	}
	h := &header{File: f, path: name, shards: 1}
	count, err := f.Metadata().Int("split.count")
	if err != nil || count <= 1 {
		return h, nil
	}
	h.shards = int(count)
	if no, err := f.Metadata().Int("split.no"); err == nil && no == 0 {
		return h, nil
	}
	defer f.Close()
	prefix, _, n, ok := gguf.ParseShardName(name)
	if !ok || int64(n) != count {
		return nil, fmt.Errorf("%s: is one of %d shards, but not the first and not named like one", name, count)
	}
	h.path = gguf.ShardName(prefix, 0, n)
	if h.File, err = gguf.OpenShard(h.path); err != nil {
		return nil, fmt.Errorf("%s: the first shard holds the metadata: %w", name, err)
	}
	if no, err := h.Metadata().Int("split.no"); err != nil || no != 0 {
		h.Close()
		return nil, fmt.Errorf("%s: is named like the first shard but is not (split.no)", h.path)
	}
	return h, nil
}

// output is where the edited header goes: out, or the file itself. It fails where that would not be the file
// its user means, or one that the set's other shards would not find.
func (h *header) output(out string, force bool) (string, error) {
	if out != "" {
		if sameFile(out, h.path) {
			return "", usageError{fmt.Errorf("%s is both input and output; without -o it is edited in place", out)}
		}
		if _, i, n, ok := gguf.ParseShardName(out); h.shards > 1 && (!ok || i != 0 || n != h.shards) {
			return "", withHint(usageError{fmt.Errorf("%s is the first of %d shards: -o must be named like one", h.path, h.shards)},
				fmt.Sprintf("name it ...-00001-of-%05d.gguf and put it beside copies of the others, or use merge first", h.shards))
		}
		return out, nil
	}
	info, err := os.Lstat(h.path)
	switch {
	case err != nil:
		return "", err
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := filepath.EvalSymlinks(h.path)
		return "", withHint(fmt.Errorf("%s is a symbolic link and is not edited in place", h.path), "edit "+target+" itself, or write elsewhere with -o")
	case info.Mode().Perm()&0o222 == 0 && !force:
		return "", withHint(fmt.Errorf("%s is read-only and is not edited in place", h.path), "--force does it all the same, -o writes elsewhere")
	}
	return h.path, nil
}

// rewrite writes the header's file with other metadata to the file out, which may be its own name. The tensors are
// read back and compared before out gets its name.
func (a *app) rewrite(cmd *cobra.Command, h *header, md *gguf.Metadata, out string, force bool) (writtenFile, error) {
	progress, done := a.track("write "+out, true)
	defer done()
	opts := gguf.FileOptions{Verify: true, Force: force || out == h.path}
	opts.Progress = progress
	old, err := os.Stat(h.path)
	if err != nil {
		return writtenFile{}, err
	}
	files, err := gguf.WriteFile(cmd.Context(), out, gguf.WithMetadata(h.File, md), opts)
	if errors.Is(err, fs.ErrPermission) && out == h.path {
		err = withHint(err, "editing in place needs a folder that may be written; -o writes elsewhere")
	}
	if err != nil {
		return writtenFile{}, err
	}
	if out == h.path {
		err = os.Chmod(out, old.Mode().Perm())
	}
	if _, serr := os.Stat(filepath.Join(filepath.Dir(out), gguf.SumsName)); err == nil && serr == nil {
		err = gguf.RecordSums(files) // a list that is there must not go stale
	}
	return writtenFile{files[0].Path, files[0].Bytes, files[0].SHA256}, err
}

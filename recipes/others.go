package recipes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moeconv/moeconv/gguf"
)

// Other is a file made elsewhere that is published with the release as it is: a vision projector, for example.
type Other struct {
	Path  string `yaml:"path"`
	About string `yaml:"about"`
}

// OtherRecord is such a file in the release's folder.
type OtherRecord struct {
	FileRecord
	About string `json:"about"`
}

func (r *Recipe) checkFiles() error {
	seen := map[string]bool{}
	for i, f := range r.Files {
		base := filepath.Base(f.Path)
		switch {
		case f.Path == "" || f.About == "":
			return r.errorf("key files[%d]: needs path and about", i)
		case seen[base]:
			return r.errorf("key files[%d]: two files of the name %s", i, base)
		}
		seen[base] = true
	}
	return nil
}

// others copies the recipe's own files beside the outputs, where they are not there yet, and records them.
func (j *job) others() error {
	for _, f := range j.r.Files {
		from, to := j.r.path(f.Path), filepath.Join(j.o.Out, filepath.Base(f.Path))
		sum, err := hashFile(os.DirFS(filepath.Dir(from)), filepath.Base(from))
		if err != nil {
			return j.r.errorf("key files: %v", err)
		}
		have, err := hashFile(os.DirFS(j.o.Out), filepath.Base(to))
		if err != nil || have != sum {
			if err == nil && !j.o.Force {
				return &gguf.ExistsError{Path: to}
			}
			if err := copyFile(from, to); err != nil {
				return err
			}
			j.touch()
		}
		info, err := os.Stat(to)
		if err != nil {
			return err
		}
		rec, err := recordFile(j.o.Out, gguf.Written{Path: to, Bytes: info.Size(), SHA256: sum})
		if err != nil {
			return err
		}
		j.report.Others = append(j.report.Others, OtherRecord{rec, f.About})
	}
	return nil
}

// copyFile copies by way of a name of its own, so that a crash leaves no half a file.
func copyFile(from, to string) (failed error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to + ".part")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		os.Remove(to + ".part")
		return fmt.Errorf("recipes: %s: %w", filepath.Base(to), err)
	}
	return os.Rename(to+".part", to)
}

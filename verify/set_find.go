package verify

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// Found is what a folder holds of a release.
type Found struct {
	Dir     string // that all names are below
	Name    string // what the names of its files begin with; empty where they have nothing in common
	Members []Member
	Aside   []Aside
}

// NoFilesError says that there is nothing to verify in a folder.
type NoFilesError struct {
	Dir   string
	Aside []Aside
}

func (e *NoFilesError) Error() string {
	msg := fmt.Sprintf("verify: %s: no GGUF model in it", e.Dir)
	for _, a := range e.Aside {
		msg += fmt.Sprintf("; %s is %s", a.Name, a.Why)
	}
	return msg
}

// Hint is advice for the user.
func (e *NoFilesError) Hint() string {
	return "the folder of a release holds *.gguf files, or folders of shards; a checkpoint is given by --source"
}

// FindFiles finds the models below a folder: files, and shards of one file as one. Importance matrices, projectors and
// adapters are left aside. A file that cannot be read is a member, too: it is for the checks to say so.
func FindFiles(dir string) (*Found, error) {
	var list []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && strings.EqualFold(path.Ext(name), ".gguf"):
			list = append(list, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return group(dir, list)
}

// TakeFiles is FindFiles for files that are named; any shard stands for its set. All must be there.
func TakeFiles(names []string) (*Found, error) {
	dir := filepath.Dir(names[0])
	var list []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err == nil && info.IsDir() {
			err = errors.New("is a folder; a release's folder is given alone")
		}
		if err != nil {
			return nil, fmt.Errorf("verify: %s: %w", filepath.Base(name), err)
		}
		for filepath.Dir(name) != dir && !strings.HasPrefix(name, dir+string(filepath.Separator)) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
		}
	}
	for _, name := range names {
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		list = append(list, filepath.ToSlash(rel))
	}
	list, err := withShards(dir, list)
	if err != nil {
		return nil, err
	}
	return group(dir, list)
}

// withShards adds what belongs to the shards that are named.
func withShards(dir string, list []string) ([]string, error) {
	var out []string
	for _, name := range list {
		prefix, _, n, ok := gguf.ParseShardName(name)
		if !ok {
			out = append(out, name)
			continue
		}
		for i := range n {
			shard := gguf.ShardName(prefix, i, n)
			if _, err := os.Stat(filepath.Join(dir, shard)); err == nil {
				out = append(out, shard)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("verify: %w", err)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// group makes members of names below dir: shards of one file are one member, named by the first that is there.
func group(dir string, list []string) (*Found, error) {
	f := &Found{Dir: dir}
	sums := map[string]map[string]gguf.Sum{}
	byKey := map[string]int{}
	for _, name := range list {
		part, err := partOf(dir, name, sums)
		if err != nil {
			return nil, err
		}
		key := name
		if prefix, _, n, ok := gguf.ParseShardName(name); ok {
			key = fmt.Sprintf("%s of %d", prefix, n)
		}
		i, ok := byKey[key]
		if !ok {
			if why := aside(filepath.Join(dir, name)); why != "" {
				f.Aside = append(f.Aside, Aside{name, why})
				continue
			}
			i = len(f.Members)
			byKey[key] = i
			f.Members = append(f.Members, Member{})
		}
		f.Members[i].Parts = append(f.Members[i].Parts, part)
	}
	if len(f.Members) == 0 {
		return nil, &NoFilesError{filepath.Base(dir), f.Aside}
	}
	for i := range f.Members {
		m := &f.Members[i]
		file := filepath.Join(dir, m.Name())
		m.Open = func() (gguf.Source, error) {
			if missing := missingShards(m.Parts); len(missing) > 0 {
				return nil, fmt.Errorf("%d shards are missing: %s", len(missing), strings.Join(missing[:min(4, len(missing))], ", "))
			}
			return gguf.Open(file)
		}
	}
	f.label()
	return f, nil
}

// missingShards are the names that a set of shards lacks.
func missingShards(parts []Part) []string {
	prefix, _, n, ok := gguf.ParseShardName(parts[0].Name)
	if !ok || len(parts) == n {
		return nil
	}
	var missing []string
	for i := range n {
		name := gguf.ShardName(prefix, i, n)
		if !slices.ContainsFunc(parts, func(p Part) bool { return p.Name == name }) {
			missing = append(missing, path.Base(name))
		}
	}
	return missing
}

// partOf is a file with its size, and the hash that SHA256SUMS beside it has, unless the file was changed since.
func partOf(dir, name string, sums map[string]map[string]gguf.Sum) (Part, error) {
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return Part{}, fmt.Errorf("verify: %w", err)
	}
	folder := path.Dir(name)
	if _, ok := sums[folder]; !ok {
		if sums[folder], err = gguf.ReadSums(filepath.Join(dir, folder)); err != nil {
			return Part{}, fmt.Errorf("verify: %w", err)
		}
	}
	p := Part{Name: name, Bytes: info.Size(), path: filepath.Join(dir, name)}
	if s, ok := sums[folder][path.Base(name)]; ok {
		p.recorded = s.SHA256
		if !info.ModTime().After(s.Recorded) {
			p.SHA256 = s.SHA256
		}
	}
	return p, nil
}

// aside says why a file is no model to verify; empty for one that is.
func aside(name string) string {
	base := strings.ToLower(filepath.Base(name))
	f, err := gguf.OpenShard(name)
	if err == nil {
		defer f.Close()
		typ, _ := gguf.Value[string](f.Metadata(), "general.type")
		arch, _ := f.Metadata().Architecture()
		switch {
		case typ == "imatrix" || arch == "imatrix":
			return "an importance matrix"
		case typ == "mmproj" || arch == "clip":
			return "a projector of another modality"
		case typ == "adapter":
			return "an adapter"
		}
	}
	switch {
	case strings.Contains(base, "imatrix"):
		return "an importance matrix by its name"
	case strings.HasPrefix(base, "mmproj"):
		return "a projector of another modality by its name"
	case strings.HasPrefix(base, "mtp-"):
		return "a draft model by its name"
	}
	return ""
}

// label gives each member what its name has beyond the others'. One file alone is labelled by its scheme.
func (f *Found) label() {
	stems := make([]string, len(f.Members))
	for i := range f.Members {
		stems[i] = stem(f.Members[i].Name())
	}
	common := stems[0]
	for _, s := range stems {
		for !strings.HasPrefix(s, common) {
			common = common[:len(common)-1]
		}
	}
	if len(stems) == 1 {
		if common = strings.TrimSuffix(common, scheme(common)); common == stems[0] {
			common = ""
		}
	}
	common = common[:strings.LastIndexAny(common, "-.")+1]
	f.Name = strings.TrimRight(common, "-._")
	seen := map[string]bool{}
	for i := range f.Members {
		f.Members[i].Label = cmp.Or(strings.TrimPrefix(stems[i], common), stems[i])
		if seen[f.Members[i].Label] {
			f.Members[i].Label = f.Members[i].Name() // the same name in two folders
		}
		seen[f.Members[i].Label] = true
	}
}

// stem is the name of a file or set of shards without folders and what every file has.
func stem(name string) string {
	if prefix, _, _, ok := gguf.ParseShardName(name); ok {
		return path.Base(prefix)
	}
	return strings.TrimSuffix(path.Base(name), path.Ext(name))
}

// scheme is the last part of a stem, where that looks like a scheme's name.
func scheme(stem string) string {
	last := stem[strings.LastIndexAny(stem, "-.")+1:]
	if last == "" || !strings.ContainsAny(last, "0123456789") || strings.ToUpper(last) != last {
		return ""
	}
	return last
}

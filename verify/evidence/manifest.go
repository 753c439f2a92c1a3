package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ManifestName is the file of a bundle that lists all others.
const ManifestName = "MANIFEST.json"

// manifestSchema names the manifest's form.
const manifestSchema = "moeconv/manifest/1"

// maxDocument bounds a JSON document of a bundle that is read into memory.
const maxDocument = 256 << 20

// File is one file of a bundle.
type File struct {
	Path    string `json:"path"` // below the bundle, with slashes
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Time    string `json:"time"`              // when it was written, RFC 3339, UTC
	Command string `json:"command,omitempty"` // what made it
}

// Manifest lists the files of a bundle.
type Manifest struct {
	Schema string `json:"schema"`
	Seal   string `json:"seal"` // SHA-256 of the list below as JSON
	Files  []File `json:"files"`
}

// seal is what Seal must be.
func (m *Manifest) seal() string {
	b, err := json.Marshal(m.Files)
	if err != nil {
		panic(err) // strings and numbers can be written
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// File finds an entry by its path.
func (m *Manifest) File(path string) (File, bool) {
	for _, f := range m.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// ReadManifest reads a bundle's manifest.
func ReadManifest(fsys fs.FS) (*Manifest, error) {
	var m Manifest
	if err := readJSON(fsys, ManifestName, &m); err != nil {
		return nil, err
	}
	if m.Schema != manifestSchema {
		return nil, fmt.Errorf("evidence: %s: schema %q, want %q", ManifestName, m.Schema, manifestSchema)
	}
	return &m, nil
}

// Seal hashes every file below root and writes the manifest. commands tells, by path, what made a file; where it is
// silent the former manifest's word is kept.
func Seal(root string, commands map[string]string) (*Manifest, error) {
	fsys := os.DirFS(root)
	old, err := ReadManifest(fsys)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		old = &Manifest{}
	}
	paths, err := files(fsys)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Schema: manifestSchema, Files: []File{}}
	for _, p := range paths {
		f, err := hashFile(fsys, p)
		if err != nil {
			return nil, err
		}
		was, _ := old.File(p)
		if f.Command = commands[p]; f.Command == "" {
			f.Command = was.Command
		}
		if was.SHA256 == f.SHA256 {
			f.Time = was.Time
		}
		m.Files = append(m.Files, f)
	}
	m.Seal = m.seal()
	return m, WriteJSON(filepath.Join(root, ManifestName), m)
}

// files lists a bundle's files but the manifest, sorted.
func files(fsys fs.FS) ([]string, error) {
	var out []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && p != ManifestName {
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	slices.Sort(out)
	return out, nil
}

func hashFile(fsys fs.FS, name string) (File, error) {
	if _, err := regular(fsys, name); err != nil {
		return File{}, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return File{}, fmt.Errorf("evidence: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return File{}, fmt.Errorf("evidence: %s: %w", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return File{}, fmt.Errorf("evidence: %s: %w", name, err)
	}
	return File{Path: name, Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil)), Time: info.ModTime().UTC().Format(time.RFC3339)}, nil
}

func readJSON(fsys fs.FS, name string, to any) error {
	data, err := readFile(fsys, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("evidence: %s: %w", name, err)
	}
	return nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := regular(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxDocument {
		return nil, fmt.Errorf("evidence: %s: %d bytes, more than a document may have (%d)", name, info.Size(), maxDocument)
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return data, nil
}

// regular refuses what would be waited for, such as a pipe, before it is opened.
func regular(fsys fs.FS, name string) (fs.FileInfo, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("evidence: %s is no regular file", name)
	}
	return info, nil
}

func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", " ")
	return append(data, '\n'), err
}

// WriteJSON replaces a file by a document in one step and makes its folder.
func WriteJSON(name string, v any) error {
	data, err := encode(v)
	if err != nil {
		return fmt.Errorf("evidence: %s: %w", filepath.Base(name), err)
	}
	return WriteFile(name, data)
}

// WriteFile replaces a file in one step and makes its folder.
func WriteFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	part := name + ".part"
	if err := os.WriteFile(part, data, 0o666); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if err := os.Rename(part, name); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return nil
}

// swallowed are the name patterns that common ignore files drop: a bundle with such a file loses it in a repository.
var swallowed = []string{"*.log", "*.tmp", "*.temp", "*.bak", "*.swp", "*.swo", "*~", "*.orig", "*.rej", "*.o", "*.obj", "*.a", "*.so", "*.dylib",
	"*.dll", "*.exe", "*.out", "*.test", "*.prof", "*.pyc", "*.pyo", "*.class", "*.jar", "*.cache", "*.pid", "*.lock", "*.part", "*.gguf", "*.bin",
	"*.safetensors", "*.zip", "*.tar.gz", ".DS_Store", "Thumbs.db", ".env", ".env.*", "core"}

// swallowedDirs are folders that common ignore files drop.
var swallowedDirs = []string{"target", "build", "dist", "out", "bin", "obj", "node_modules", "vendor", "__pycache__", "logs", "log", "tmp", "temp",
	"coverage", "models", ".cache", ".venv", "venv", ".git", ".idea", ".vscode"}

// Ignored reports which common ignore rule would drop a path; "" if none does.
func Ignored(path string) string {
	parts := strings.Split(path, "/")
	for _, dir := range parts[:len(parts)-1] {
		if slices.Contains(swallowedDirs, strings.ToLower(dir)) {
			return dir + "/"
		}
	}
	name := parts[len(parts)-1]
	for _, pattern := range swallowed {
		if ok, _ := filepath.Match(strings.ToLower(pattern), strings.ToLower(name)); ok {
			return pattern
		}
	}
	return ""
}

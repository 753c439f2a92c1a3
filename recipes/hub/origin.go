package hub

import (
	"os"
	"path/filepath"
	"strings"
)

// Origin says which repository and commit a folder of this machine was downloaded from: HuggingFace's cache has both in its
// path, a folder that a download filled has the commit in its records. What is not known is empty.
func Origin(dir string) (repo, commit string) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	parts := strings.Split(filepath.ToSlash(dir), "/")
	if n := len(parts); n > 2 && parts[n-2] == "snapshots" && commitName.MatchString(parts[n-1]) {
		if name, ok := strings.CutPrefix(parts[n-3], "models--"); ok {
			return strings.Replace(name, "--", "/", 1), parts[n-1]
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, ".cache", "huggingface", "download", "config.json.metadata"))
	if first, _, _ := strings.Cut(string(data), "\n"); err == nil && commitName.MatchString(first) {
		return "", first
	}
	return "", ""
}

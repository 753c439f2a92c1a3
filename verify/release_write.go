package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// WriteReports writes STEM.json, STEM.md and STEM.html, each in one step, and returns their names. The JSON is doc's, which
// holds the release.
func (r *Release) WriteReports(stem string, doc any) ([]string, error) {
	if err := os.MkdirAll(filepath.Dir(stem), 0o777); err != nil {
		return nil, fmt.Errorf("verify: report: %w", err)
	}
	first, err := writeReport(stem+".json", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		return enc.Encode(doc)
	})
	if err != nil {
		return nil, err
	}
	pages, err := r.WritePages(stem)
	return append([]string{first}, pages...), err
}

// WritePages is WriteReports without the JSON.
func (r *Release) WritePages(stem string) (names []string, err error) {
	for _, f := range []struct {
		ext   string
		write func(io.Writer) error
	}{{".md", r.Markdown}, {".html", r.HTML}} {
		name, err := writeReport(stem+f.ext, f.write)
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

// writeReport gives name its new content in one step, so that a crash leaves the old or the new one.
func writeReport(name string, write func(io.Writer) error) (string, error) {
	var b bytes.Buffer
	err := write(&b)
	if err == nil {
		err = os.WriteFile(name+".part", b.Bytes(), 0o666)
	}
	if err == nil {
		err = os.Rename(name+".part", name)
	}
	if err != nil {
		return "", fmt.Errorf("verify: report: %w", err)
	}
	return name, nil
}

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
	var names []string
	for _, f := range []struct {
		ext   string
		write func(io.Writer) error
	}{
		{".json", func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", " ")
			return enc.Encode(doc)
		}},
		{".md", r.Markdown},
		{".html", r.HTML},
	} {
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return names, fmt.Errorf("verify: report: %w", err)
		}
		if err := replaceFile(stem+f.ext, b.Bytes()); err != nil {
			return names, fmt.Errorf("verify: report: %w", err)
		}
		names = append(names, stem+f.ext)
	}
	return names, nil
}

// replaceFile gives name its new content in one step, so that a crash leaves the old or the new one.
func replaceFile(name string, data []byte) error {
	part := name + ".part"
	if err := os.WriteFile(part, data, 0o666); err != nil {
		return err
	}
	return os.Rename(part, name)
}

package gguf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// SumsName is the file that lists the SHA-256 of the files beside it, as sha256sum writes and checks it.
const SumsName = "SHA256SUMS"

// RecordSums puts files into the SHA256SUMS of their folders, sorted by name. Lines of other files stay as they are.
func RecordSums(files []Written) error {
	byDir := map[string][]Written{}
	for _, f := range files {
		dir := filepath.Dir(f.Path)
		byDir[dir] = append(byDir[dir], f)
	}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		if err := recordSums(dir, byDir[dir]); err != nil {
			return fmt.Errorf("gguf: %s: %w", filepath.Join(dir, SumsName), err)
		}
	}
	return nil
}

func recordSums(dir string, files []Written) error {
	unlock, err := lockDir(dir) // two processes may finish at the same time
	if err != nil {
		return err
	}
	defer unlock()
	lines, err := readSums(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Base(f.Path)
		lines[name] = sumLine(f.SHA256, name)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		b.WriteString(lines[name] + "\n")
	}
	return osDisk{}.replace(filepath.Join(dir, SumsName), []byte(b.String()))
}

// readSums is the lines of a folder's SHA256SUMS by name; lines that are not of its form go by themselves.
func readSums(dir string) (map[string]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, SumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		name := line
		sum, rest, escaped := strings.TrimPrefix(line, `\`), "", strings.HasPrefix(line, `\`)
		if len(sum) > 66 && (sum[64:66] == "  " || sum[64:66] == " *") {
			rest = sum[66:]
			if name = rest; escaped {
				name = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\\`, `\`).Replace(rest)
			}
		}
		lines[name] = line
	}
	return lines, nil
}

// sumLine is one line; names with a backslash or a line end are escaped as sha256sum does.
func sumLine(sum, name string) string {
	if strings.ContainsAny(name, "\\\n\r") {
		return `\` + sum + "  " + strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
	}
	return sum + "  " + name
}

// Sum is a file's SHA-256 as a SHA256SUMS has it.
type Sum struct {
	SHA256   string    // 64 hexadecimal digits
	Recorded time.Time // when the list was last written
}

// ReadSums is what a folder's SHA256SUMS says of the files beside it, by name; nothing where there is none.
func ReadSums(dir string) (map[string]Sum, error) {
	info, err := os.Stat(filepath.Join(dir, SumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines, err := readSums(dir)
	if err != nil {
		return nil, err
	}
	sums := map[string]Sum{}
	for name, line := range lines {
		if sum := strings.TrimPrefix(line, `\`); len(sum) > 66 && name != line {
			sums[name] = Sum{sum[:64], info.ModTime()}
		}
	}
	return sums, nil
}

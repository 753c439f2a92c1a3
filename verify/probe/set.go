package probe

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed sets
var embedded embed.FS

// SetVersion is the version of the format of sets: the value of the key moeconv_probes.
const SetVersion = 1

// Set is a set of probes, as a YAML file states it.
type Set struct {
	Version int    `yaml:"moeconv_probes"`
	Name    string `yaml:"name"`
	Probes  []Spec `yaml:"probes"`
}

// SetError says that there is no set of that name.
type SetError struct {
	Name string
	Err  error // of opening it as a file
}

func (e *SetError) Error() string { return fmt.Sprintf("probe: set %q: %v", e.Name, e.Err) }

func (e *SetError) Unwrap() error { return e.Err }

// Hint lists those that are inside.
func (e *SetError) Hint() string {
	return "sets inside of moeconv: " + strings.Join(SetNames(), ", ") + "; or the path of a YAML file"
}

// SetNames lists the embedded sets.
func SetNames() []string {
	entries, err := embedded.ReadDir("sets")
	if err != nil {
		panic(err) // the embed directive names the folder
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

// maxSet bounds the size of a set's file.
const maxSet = 1 << 20

// LoadSet finds a set: an embedded one by name, or a file.
func LoadSet(name string) (*Set, error) {
	var data []byte
	var err error
	if slices.Contains(SetNames(), name) {
		data, err = embedded.ReadFile(path.Join("sets", name+".yaml"))
	} else {
		data, err = readSet(name)
	}
	if err != nil {
		return nil, &SetError{name, err}
	}
	return ParseSet(data, name)
}

func readSet(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSet+1))
	if err == nil && len(data) > maxSet {
		err = fmt.Errorf("more than %d bytes", maxSet)
	}
	return data, err
}

// ParseSet reads a set. An unknown key is an error, so is a probe that could never be met.
func ParseSet(data []byte, origin string) (*Set, error) {
	s := &Set{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("probe: %s: %w", origin, err)
	}
	if s.Version != SetVersion {
		return nil, fmt.Errorf("probe: %s: key moeconv_probes: format %d, this version reads %d", origin, s.Version, SetVersion)
	}
	if len(s.Probes) == 0 {
		return nil, fmt.Errorf("probe: %s: key probes: there are none", origin)
	}
	seen := map[string]bool{}
	for _, p := range s.Probes {
		if _, err := New(p); err != nil {
			return nil, fmt.Errorf("probe: %s: %w", origin, err)
		}
		if seen[p.Name] {
			return nil, fmt.Errorf("probe: %s: two probes are named %s", origin, p.Name)
		}
		seen[p.Name] = true
	}
	return s, nil
}

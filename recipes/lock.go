package recipes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/moeconv/moeconv/verify/evidence"
)

// lockVersion is the version of the lock file's form.
const lockVersion = 1

// Lock is what a recipe was resolved to: with it next month's run is the same run.
type Lock struct {
	Version int           `yaml:"moeconv_lock"`
	Recipe  string        `yaml:"recipe"`
	Repo    string        `yaml:"repo,omitempty"`
	Asked   string        `yaml:"asked,omitempty"`    // the recipe's own revision, such as a branch
	Commit  string        `yaml:"revision,omitempty"` // that it was, never a branch
	Tool    evidence.Tool `yaml:"tool"`
	Inputs  []LockedFile  `yaml:"inputs"`
	Texts   []LockedText  `yaml:"texts,omitempty"`
	Outputs []LockedFile  `yaml:"outputs"`
}

// LockedFile is one file that a lock holds to its bytes.
type LockedFile struct {
	Name   string `yaml:"name"`
	Bytes  int64  `yaml:"bytes"`
	SHA256 string `yaml:"sha256,omitempty"`
}

// lockName is beside a recipe's own file: x.lock.yaml of x.yaml. That of an embedded recipe lies with the outputs.
func (j *job) lockName() string {
	if ext := filepath.Ext(j.r.origin); ext == ".yaml" || ext == ".yml" {
		return strings.TrimSuffix(j.r.origin, ext) + ".lock.yaml"
	}
	return filepath.Join(j.o.Out, j.name+".lock.yaml")
}

// readLock is the lock of an earlier run; nil where there is none, or where it is to be made anew.
func (j *job) readLock() (*Lock, error) {
	if j.o.UpdateLock || j.o.again {
		return nil, nil
	}
	data, err := os.ReadFile(j.lockName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var l Lock
	if err := dec.Decode(&l); err != nil {
		return nil, fmt.Errorf("recipes: %s: %s", filepath.Base(j.lockName()), yamlMessage(err))
	}
	if l.Version != lockVersion {
		return nil, fmt.Errorf("recipes: %s: moeconv_lock %d, this version reads %d", filepath.Base(j.lockName()), l.Version, lockVersion)
	}
	return &l, nil
}

// LockError says that a checkpoint is not the one that a recipe was locked to.
type LockError struct{ Lock, File, What string }

func (e *LockError) Error() string {
	return fmt.Sprintf("recipes: %s: %s %s", e.Lock, e.File, e.What)
}

// Hint tells how to go on.
func (e *LockError) Hint() string {
	return "the checkpoint has changed since; --update-lock takes it as it is now"
}

// checkLock holds the checkpoint against the lock; weights, which the fingerprint does not hash, by their size.
func (j *job) checkLock() error { return j.holdLock(j.report.Inputs) }

// checkWeights holds the weights' hashes against the lock, before anything is made of them. What was downloaded has
// been held against the Hub's.
func (j *job) checkWeights(ctx context.Context) error {
	l, err := j.readLock()
	if err != nil || l == nil || j.commit != "" {
		return err
	}
	if j.inputs, err = j.release().hashInputs(ctx); err != nil {
		return err
	}
	return j.holdLock(j.inputs)
}

func (j *job) holdLock(inputs []Input) error {
	l, err := j.readLock()
	if err != nil || l == nil {
		return err
	}
	name := filepath.Base(j.lockName())
	here := map[string]Input{}
	for _, in := range inputs {
		here[in.Name] = in
	}
	for _, f := range l.Inputs {
		in, ok := here[f.Name]
		switch {
		case !ok:
			return &LockError{name, f.Name, "is not there"}
		case in.Bytes != f.Bytes:
			return &LockError{name, f.Name, fmt.Sprintf("has %d bytes, the lock says %d", in.Bytes, f.Bytes)}
		case in.SHA256 != "" && f.SHA256 != "" && in.SHA256 != f.SHA256:
			return &LockError{name, f.Name, "has another SHA-256 than the lock says"}
		}
	}
	return nil
}

// writeLock records what the run was made of and made, where that is not on record yet.
func (j *job) writeLock(inputs []Input) error {
	if j.o.again {
		return nil
	}
	l := Lock{Version: lockVersion, Recipe: strings.TrimPrefix(filepath.Base(j.r.origin), "recipe "), Repo: j.report.Source.Repo,
		Asked: j.r.Source.Revision, Commit: j.report.Source.Revision, Tool: j.o.Tool, Texts: j.texts}
	for _, in := range inputs {
		l.Inputs = append(l.Inputs, LockedFile{in.Name, in.Bytes, in.SHA256})
	}
	for _, o := range j.report.Outputs {
		for _, f := range o.Files {
			l.Outputs = append(l.Outputs, LockedFile{f.Path, f.Bytes, f.SHA256})
		}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(l); err != nil {
		return err
	}
	if old, err := os.ReadFile(j.lockName()); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	return evidence.WriteFile(j.lockName(), b.Bytes())
}

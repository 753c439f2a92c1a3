package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// cacheStore keeps files as HuggingFace's tools do: blobs/ETAG holds the content, snapshots/COMMIT/NAME is a link to it,
// refs/REVISION holds the commit, .locks/models--OWNER--NAME/ETAG.lock is held while a blob grows.
type cacheStore struct{ root, locks, commit string }

func newCache(root, cache string, repo Repo, commit string) (*cacheStore, error) {
	if cache == "" {
		return nil, errors.New("hub: no cache: neither HF_HOME nor HF_HUB_CACHE nor a home directory is set")
	}
	s := &cacheStore{root, filepath.Join(cache, ".locks", filepath.Base(root)), commit}
	if repo.Revision == commit {
		return s, nil
	}
	return s, writeOnce(filepath.Join(root, "refs", filepath.FromSlash(repo.Revision)), commit)
}

func (s *cacheStore) lockName(e *entry) string { return filepath.Join(s.locks, e.etag()+".lock") }
func (s *cacheStore) blob(e *entry) string     { return filepath.Join(s.root, "blobs", e.etag()) }

// partial has a name of its own: other clients would append to ETAG.incomplete, in which this one leaves holes.
func (s *cacheStore) partial(e *entry) string { return s.blob(e) + ".moeconv.incomplete" }

func (s *cacheStore) link(e *entry) string {
	return filepath.Join(s.root, "snapshots", s.commit, filepath.FromSlash(e.path))
}

func (s *cacheStore) ready(e *entry) (bool, error) {
	if info, err := os.Stat(s.link(e)); err == nil && info.Size() == e.size {
		return true, nil
	}
	if info, err := os.Stat(s.blob(e)); err != nil || info.Size() != e.size {
		return false, nil
	}
	return true, s.finish(e)
}

// finish links the name to the blob; where links cannot be made the blob moves, as HuggingFace's client does it.
func (s *cacheStore) finish(e *entry) error {
	link := s.link(e)
	if err := os.MkdirAll(filepath.Dir(link), 0o777); err != nil {
		return err
	}
	to, err := filepath.Rel(filepath.Dir(link), s.blob(e))
	if err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(to, link); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return os.Rename(s.blob(e), link)
}

// folderStore keeps files under their own names, and beside them what `hf download --local-dir` keeps:
// .cache/huggingface/download/NAME.metadata with commit, ETag and time.
type folderStore struct{ dir, commit string }

func newFolder(dir, commit string) (*folderStore, error) {
	s := &folderStore{dir, commit}
	if err := os.MkdirAll(filepath.Join(dir, ".cache", "huggingface"), 0o777); err != nil {
		return nil, err
	}
	return s, writeOnce(filepath.Join(dir, ".cache", "huggingface", ".gitignore"), "*")
}

func (s *folderStore) beside(e *entry, ext string) string {
	return filepath.Join(s.dir, ".cache", "huggingface", "download", filepath.FromSlash(e.path)+ext)
}

func (s *folderStore) lockName(e *entry) string { return s.beside(e, ".lock") }
func (s *folderStore) partial(e *entry) string {
	return s.beside(e, "."+e.etag()+".moeconv.incomplete")
}
func (s *folderStore) blob(e *entry) string { return filepath.Join(s.dir, filepath.FromSlash(e.path)) }

func (s *folderStore) ready(e *entry) (bool, error) {
	info, err := os.Stat(s.blob(e))
	if err != nil || !info.Mode().IsRegular() || info.Size() != e.size {
		return false, nil
	}
	data, err := os.ReadFile(s.beside(e, ".metadata"))
	if lines := strings.Split(string(data), "\n"); err == nil && len(lines) > 1 && lines[1] == e.etag() {
		return true, s.finish(e)
	}
	got, err := hashAs(s.blob(e), e)
	if err != nil || got != e.etag() {
		return false, err
	}
	return true, s.finish(e)
}

func (s *folderStore) finish(e *entry) error {
	name, head := s.beside(e, ".metadata"), s.commit+"\n"+e.etag()+"\n"
	if old, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(old), head) {
		return nil
	}
	return writeOnce(name, fmt.Sprintf("%s%.6f\n", head, float64(time.Now().UnixMicro())/1e6))
}

// hashAs is the hash of a file of the kind that the Hub lists for e.
func hashAs(name string, e *entry) (string, error) {
	if e.sha256 == "" && e.size <= maxWhole {
		data, err := os.ReadFile(name)
		return gitBlob(data), err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

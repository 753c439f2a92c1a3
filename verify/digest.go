package verify

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/moeconv/moeconv/convert/safetensors"
)

// hashWhole is the size of weights that are hashed unasked; larger ones only by Subject.Full.
const hashWhole = 1 << 30

// hubHash is a hash as the Hub has it: SHA-256 of a file of LFS, SHA-1 of git's of any other.
var hubHash = regexp.MustCompile(`^([0-9a-f]{64}|[0-9a-f]{40})$`)

// smallFiles are what a conversion reads besides weights.
var smallFiles = []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
	"special_tokens_map.json", "chat_template.jinja", "chat_template.json", "model.safetensors.index.json"}

// checkDigests holds files against the hashes that are known of them, and says how many there were.
func (s *Subject) checkDigests(ctx context.Context, r *Result, shards []safetensors.ShardInfo, size int64) (string, error) {
	var files []string
	for _, name := range smallFiles {
		if _, err := fs.Stat(s.Checkpoint.Files, name); err == nil {
			files = append(files, name)
		}
	}
	known := 0
	whole := s.Full || size <= hashWhole
	for _, sh := range shards {
		if s.Checkpoint.digest(sh.Name) != "" {
			known++
		}
		if whole {
			files = append(files, sh.Name)
		}
	}
	hashed := 0
	for _, name := range files {
		want := s.Checkpoint.digest(name)
		if want == "" {
			continue
		}
		got, err := digest(ctx, s.Checkpoint.Files, name, len(want) == 40)
		if err != nil {
			return "", err
		}
		if hashed++; got != want {
			r.Find(Problem{Expert: -1, Damage: "hash", Message: fmt.Sprintf("%s: its hash is %s, the Hub's is %s: the file is damaged or was changed", name, got, want)})
		}
	}
	r.figure("hashed", float64(hashed))
	switch {
	case hashed == 0 && known == 0:
		return "no hashes known", nil
	case !whole:
		return fmt.Sprintf("%d files have the Hub's hashes, %d of weights not hashed (--full does)", hashed, known), nil
	}
	return fmt.Sprintf("%d files have the Hub's hashes", hashed), nil
}

// digest is the hash that is known of a file, empty for none.
func (c *Checkpoint) digest(name string) string {
	if d := strings.ToLower(c.Digests[name]); hubHash.MatchString(d) {
		return d
	}
	// In HuggingFace's cache a file is a link to a blob that is named by its hash.
	if to, err := fs.ReadLink(c.Files, name); err == nil {
		if base := path.Base(strings.ReplaceAll(to, `\`, "/")); hubHash.MatchString(base) {
			return base
		}
	}
	// A download to a folder leaves three lines beside it: commit, hash, time.
	f, err := c.Files.Open(".cache/huggingface/download/" + name + ".metadata")
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 4096))
	for i := 0; lines.Scan(); i++ {
		if line := strings.TrimSpace(lines.Text()); i == 1 && hubHash.MatchString(line) {
			return line
		}
	}
	return ""
}

// digest hashes a file.
func digest(ctx context.Context, files fs.FS, name string, git bool) (string, error) {
	f, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var h hash.Hash = sha256.New()
	if git {
		info, err := f.Stat()
		if err != nil {
			return "", err
		}
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", info.Size())
	}
	buf := make([]byte, slabBytes)
	for {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
}

package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
)

// Hashing says which files are read whole for their SHA-256, which is held against SHA256SUMS.
type Hashing uint8

// A verdict that is to be published needs hashes: they bind it to the files.
const (
	HashNone    Hashing = iota // hashes are those on record
	HashUnknown                // files without one on record are hashed
	HashAll
)

func (h Hashing) wants(parts []Part) bool {
	return h == HashAll || h == HashUnknown && slices.ContainsFunc(parts, func(p Part) bool { return p.SHA256 == "" && p.path != "" })
}

// hashParts holds the files' SHA-256 against the SHA256SUMS beside them. Known ones are by path; files that are not among
// them are read whole.
func hashParts(ctx context.Context, parts []Part, known map[string]string) Result {
	r := NewResult(Pass, "")
	recorded := 0
	for i := range parts {
		p := &parts[i]
		sum, ok := known[p.path]
		if !ok {
			var err error
			if sum, err = hashFile(ctx, p.path); err != nil {
				r.Find(Problem{Expert: -1, Message: fmt.Sprintf("%s: %v", p.Name, err)})
				continue
			}
		}
		p.SHA256 = sum
		if p.recorded == "" {
			continue
		}
		if recorded++; p.recorded != sum {
			r.Find(Problem{Expert: -1, Damage: "hash", Message: fmt.Sprintf("%s: SHA-256 %s, SHA256SUMS has %s", p.Name, sum, p.recorded)})
		}
	}
	r.summarize(fmt.Sprintf("%d files hashed, %d of them as SHA256SUMS has them", len(parts), recorded))
	return r
}

func hashFile(ctx context.Context, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	const slab = 16 << 20
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(h, f, slab)
	}
	if err == io.EOF {
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	if err == nil {
		err = ctx.Err()
	}
	return "", err
}

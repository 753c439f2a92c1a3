package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// hashParts reads the files whole, and holds their SHA-256 against the SHA256SUMS beside them.
func hashParts(ctx context.Context, parts []Part) Result {
	r := NewResult(Pass, "")
	recorded := 0
	for i := range parts {
		p := &parts[i]
		sum, err := hashFile(ctx, p.path)
		if err != nil {
			r.Find(Problem{Expert: -1, Message: fmt.Sprintf("%s: %v", p.Name, err)})
			continue
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

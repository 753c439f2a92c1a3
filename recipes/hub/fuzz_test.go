package hub

import (
	"context"
	"encoding/json"
	"io/fs"
	"testing"
)

// FuzzListing: whatever a server lists, the file system names only files within the repository and never panics.
func FuzzListing(f *testing.F) {
	for _, s := range []string{
		`{"sha":"0123","siblings":[{"rfilename":"config.json","size":3,"blobId":"x"},{"rfilename":"a/b.safetensors","lfs":{"size":-1,"sha256":""}}]}`,
		`{"siblings":[{"rfilename":"../x"},{"rfilename":""},{"rfilename":"/etc/passwd"},{"rfilename":"a\\b"}],"gated":"manual"}`,
		`{"siblings":[{"rfilename":"a"},{"rfilename":"a/b"}]}`, `{"gated":null}`, `[]`, `{"siblings":[{"size":1e99}]}`,
	} {
		f.Add([]byte(s))
	}
	c, err := New(func(string) string { return "" })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var l listing
		if json.Unmarshal(text, &l) != nil {
			return
		}
		fsys, err := newFS(context.Background(), c, repo, l)
		if err != nil {
			return
		}
		if _, err := fs.ReadDir(fsys, "."); err != nil {
			t.Error(err)
		}
		for _, file := range fsys.Files() {
			if !fs.ValidPath(file.Path) {
				t.Errorf("file %q", file.Path)
			}
		}
	})
}

// FuzzParseRepo: what parses has two plain parts and prints as it was read.
func FuzzParseRepo(f *testing.F) {
	for _, s := range []string{"me/moe", "me/moe@v1", "a/b@refs/pr/1", "../x", "a//b", "a/b@@", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, ok := ParseRepo(s)
		if !ok {
			return
		}
		again, ok := ParseRepo(r.String())
		if !ok || again != r || !fs.ValidPath(r.Owner) || !fs.ValidPath(r.Name) {
			t.Errorf("%q is %+v, which is %+v", s, r, again)
		}
	})
}

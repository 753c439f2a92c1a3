package hub

import (
	"testing"
	"time"
)

// FuzzParts: no journal of an upload, however damaged, gives addresses that do not cover the file.
func FuzzParts(f *testing.F) {
	const oid = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	a := Addition{Path: "a", Size: 25, SHA256: oid}
	f.Add([]byte(`{"oid":"` + oid + `","size":25,"upload":{"href":"h","header":{"chunk_size":"10","1":"a","2":"b","3":"c"}}}` + "\n" + `{"part":1,"etag":"x"}` + "\n"))
	f.Add([]byte(`{"oid":"` + oid + `","size":25,"upload":{"header":{"chunk_size":"9223372036854775807","1":"a?X-Amz-Date=20260101T000000Z&X-Amz-Expires=9"}}}`))
	f.Add([]byte(`{"oid":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		up, _, _ := parseParts(data, a, time.Unix(1_800_000_000, 0))
		if up == nil {
			return
		}
		chunk, hrefs, err := partAddresses(up.Upload, a.Size)
		if err == nil && (chunk <= 0 || int64(len(hrefs)) != (a.Size-1)/chunk+1) {
			t.Errorf("%d parts of %d", len(hrefs), chunk)
		}
	})
}

package hub

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moeconv/moeconv/recipes/hub/hubtest"
)

// BenchmarkDownload measures a download, SHA-256 and all, against eight plain requests for an eighth each that write
// into one file, from the same server.
func BenchmarkDownload(b *testing.B) {
	weights := noise(1, 256<<20)
	h := hubtest.New()
	defer h.Close()
	h.AddRepo("me/moe", false, map[string][]byte{"config.json": []byte("{}"), "model.safetensors": weights})
	b.Run("server=loopback", func(b *testing.B) { benchmarkDownload(b, h, weights) })
	h.Pace = func() { time.Sleep(2 * time.Millisecond) } // 16 MB/s a connection, as a network would
	b.Run("server=slow", func(b *testing.B) { benchmarkDownload(b, h, weights) })
}

func benchmarkDownload(b *testing.B, h *hubtest.Hub, weights []byte) {
	b.Run("of=moeconv", func(b *testing.B) {
		b.SetBytes(int64(len(weights)))
		for b.Loop() {
			c, err := New(func(key string) string { return map[string]string{"HF_ENDPOINT": h.URL(), "HF_HOME": b.TempDir()}[key] })
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Download(b.Context(), repo, Fetch{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("of=ranges", func(b *testing.B) {
		b.SetBytes(int64(len(weights)))
		for b.Loop() {
			if err := plainRanges(h.URL()+"/me/moe/resolve/main/model.safetensors", filepath.Join(b.TempDir(), "f"), int64(len(weights))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func plainRanges(url, name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range int64(8) {
		wg.Go(func() {
			req, err := http.NewRequest("GET", url, nil)
			if err != nil {
				errs <- err
				return
			}
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", i*size/8, (i+1)*size/8-1))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				errs <- err
				return
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.NewOffsetWriter(f, i*size/8), resp.Body)
			errs <- err
		})
	}
	wg.Wait()
	for range 8 {
		if err := <-errs; err != nil {
			return err
		}
	}
	return f.Sync()
}

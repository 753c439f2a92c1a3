package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
)

// offloadDoc is what streaming experts from the disk came to.
type offloadDoc struct {
	offload.Stats
	ReadRate  float64 `json:"decode_read_rate"` // bytes/s
	DiskRate  float64 `json:"disk_read_rate"`   // bytes/s, when nothing is computed
	DiskShare float64 `json:"disk_share"`

	read  int64
	spent time.Duration
}

// newOffloadDoc is nil for a model that is in memory.
func newOffloadDoc(m *runtime.Model) *offloadDoc {
	s, ok := m.Streamed()
	if !ok {
		return nil
	}
	return &offloadDoc{Stats: s}
}

// count adds what was read since the last call, if that counts.
func (d *offloadDoc) count(m *runtime.Model, counts bool, spent time.Duration) {
	if d == nil {
		return
	}
	s, _ := m.Streamed()
	if counts {
		d.read += s.BytesRead - d.BytesRead
		d.spent += spent
	}
	d.Stats = s
}

// compare measures how fast experts are read when nothing is computed.
func (d *offloadDoc) compare(ctx context.Context, m *runtime.Model) error {
	rate, err := m.ExpertReadRate(ctx)
	if err != nil {
		return err
	}
	d.ReadRate, d.DiskRate = float64(d.read)/d.spent.Seconds(), rate
	d.DiskShare = d.ReadRate / rate
	return nil
}

func (d *offloadDoc) print(w io.Writer) error {
	if err := printStreamed(w, d.Stats); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "decoding read %.2f GB/s: %.1f%% of the %.2f GB/s that are read when nothing is computed\n", d.ReadRate/1e9, 100*d.DiskShare, d.DiskRate/1e9)
	return err
}

func printStreamed(w io.Writer, s offload.Stats) error {
	_, err := fmt.Fprintf(w, "experts: %d of %d in a cache of %.2f MiB; %d hits, %d misses, %.2f GB read in %.2f s, computing waited %.2f s; read ahead: %d used, %d not\n",
		s.Cached, s.Experts, float64(s.CacheBytes)/(1<<20), s.Hits, s.Misses, float64(s.BytesRead)/1e9, s.ReadTime, s.Stalls, s.Useful, s.Useless)
	return err
}

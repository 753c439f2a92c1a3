package bench

import (
	"context"
	"time"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
)

// Streamed is what streaming experts from the disk came to.
type Streamed struct {
	offload.Stats
	ReadRate  float64 `json:"decode_read_rate"` // bytes/s
	DiskRate  float64 `json:"disk_read_rate"`   // bytes/s, when nothing is computed
	DiskShare float64 `json:"disk_share"`

	read  int64
	spent time.Duration
}

// newStreamed is nil for a model that is in memory.
func newStreamed(m *runtime.Model) *Streamed {
	s, ok := m.Streamed()
	if !ok {
		return nil
	}
	return &Streamed{Stats: s}
}

// count adds what was read since the last call, if that counts.
func (d *Streamed) count(m *runtime.Model, counts bool, spent time.Duration) {
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
func (d *Streamed) compare(ctx context.Context, m *runtime.Model) error {
	rate, err := m.ExpertReadRate(ctx)
	if err != nil {
		return err
	}
	d.ReadRate, d.DiskRate = float64(d.read)/d.spent.Seconds(), rate
	d.DiskShare = d.ReadRate / rate
	return nil
}

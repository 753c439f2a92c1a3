package main

import (
	"fmt"
	"io"

	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/verify/bench"
)

func printOffload(w io.Writer, d *bench.Streamed) error {
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

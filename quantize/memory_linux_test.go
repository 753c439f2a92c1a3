package quantize

import "testing"

// A job holds slabs, not tensors: with 24 MiB for slabs, 250 MB of source pass through less than 64 MB (with the race
// detector, whose shadow is several times the heap, this is not measured).
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory would be measured")
	}
	mb := int64(250)
	peak, source, _ := measureMemory(t, "Q8_0", mb, 24)
	t.Logf("VmHWM %.0f MB for %.0f MB of source", float64(peak)/1e6, float64(source)/1e6)
	if source < 240e6 {
		t.Fatalf("the source has %d bytes only", source)
	}
	if peak > 64e6 {
		t.Errorf("VmHWM %d MB, want at most 64", peak/1e6)
	}
}

// go test -bench Memory3GB -benchtime 1x: VmHWM of quantizing 3 GB with default options.
func BenchmarkMemory3GB(b *testing.B) {
	for b.Loop() {
		peak, source, file := measureMemory(b, "Q4_K_M", 3000, 0)
		b.ReportMetric(float64(peak)/1e6, "VmHWM-MB")
		b.ReportMetric(float64(source)/1e6, "source-MB")
		b.ReportMetric(float64(file)/1e6, "file-MB")
		if peak > 600e6 {
			b.Errorf("VmHWM %d MB, want at most 600", peak/1e6)
		}
	}
}

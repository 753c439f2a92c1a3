package evidence

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// byteUnits are the units of sizes, in bytes.
var byteUnits = map[string]float64{"B": 1, "bytes": 1, "byte": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

// timeUnits are the units of times, in seconds.
var timeUnits = map[string]float64{"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "seconds": 1, "min": 60, "h": 3600}

// speedUnits are the ways to write tokens per second.
var speedUnits = []string{"tok/s", "tokens/s", "t/s", "TPS", "tps"}

// base is a unit's factor and dimension; that of an unknown unit is itself.
func base(unit string) (float64, string) {
	if f, ok := byteUnits[unit]; ok {
		return f, "bytes"
	}
	if f, ok := timeUnits[unit]; ok {
		return f, "time"
	}
	if slices.Contains(speedUnits, unit) {
		return 1, "speed"
	}
	return 1, unit
}

// measured reports a dimension whose units are known.
func measured(dim string) bool { return slices.Contains([]string{"bytes", "time", "speed", "%"}, dim) }

// quantityOf is a value of the evidence with its unit, "" where nothing tells it.
type quantityOf struct {
	value float64
	unit  string
}

// keyUnits are the ends of keys that tell a unit, longer ones first.
var keyUnits = []struct{ suffix, unit string }{{"tokens_per_second", "tok/s"}, {"tok_s", "tok/s"}, {"tokens_s", "tok/s"}, {"tps", "tok/s"},
	{"bytes", "bytes"}, {"kib", "KiB"}, {"mib", "MiB"}, {"gib", "GiB"}, {"kb", "KB"}, {"mb", "MB"}, {"gb", "GB"}, {"seconds", "s"}, {"ns", "ns"},
	{"us", "us"}, {"ms", "ms"}, {"s", "s"}, {"percent", "%"}, {"pct", "%"}}

// statistics are keys of what is said of a figure; its unit is in the key above.
var statistics = []string{"mean", "stddev", "sd", "sigma", "ci95", "min", "max", "median", "p50", "p90", "p95", "p99", "value", "avg", "average"}

// unitOf is the unit that a pointer's keys tell: total_bytes, vram_mib, ttft_s/mean; "" if they tell none.
func unitOf(pointer string) string {
	tokens := strings.Split(strings.ToLower(pointer), "/")
	for i := len(tokens) - 1; i > 0; i-- {
		for _, k := range keyUnits {
			if tokens[i] == k.suffix || strings.HasSuffix(tokens[i], "_"+k.suffix) {
				return k.unit
			}
		}
		if !slices.Contains(statistics, tokens[i]) {
			break
		}
	}
	return ""
}

// quantities are the number that a value is, or all that stand in a text.
func (c *Claim) quantities(v any) []quantityOf {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return []quantityOf{{f, unitOf(c.Pointer)}}
		}
	case string:
		var out []quantityOf
		for _, w := range Words(v) {
			if w.Number {
				out = append(out, quantityOf{w.Value, w.Unit})
			}
		}
		return out
	}
	return nil
}

// factors lists by what a value in a unit may be multiplied to be in that of the evidence: none if they measure
// different things. Where the evidence tells no unit, it may be in the claim's or in bytes or seconds; a percentage may
// stand for a share, which is 1 at most.
func factors(unit string, q quantityOf) []float64 {
	f, dim := base(unit)
	qf, qdim := base(q.unit)
	switch {
	case measured(dim) && measured(qdim):
		if dim != qdim {
			return nil
		}
		return []float64{f / qf}
	case dim == "%" && math.Abs(q.value) <= 1:
		return []float64{0.01}
	case dim == "%":
		return []float64{1, 0.01}
	case f != 1 && q.unit == "":
		return []float64{1, f}
	}
	return []float64{1}
}

// inexact are words of a claim that is about more than one value.
var inexact = regexp.MustCompile(`(?i)\b(under|below|less|fewer|most|up to|over|above|more|least|within|about|around|roughly|between|than)\b|[~≈<>≤≥]`)

// misstated says that a claim's text has figures in its unit, none of which is its value.
func (c *Claim) misstated(value float64) string {
	if inexact.MatchString(c.Text) {
		return ""
	}
	f, dim := base(c.Unit)
	var first string
	for _, w := range Words(c.Text) {
		wf, wdim := base(w.Unit)
		if !w.Number || wdim != dim {
			continue
		}
		_, decimals, _ := strings.Cut(strings.TrimSuffix(w.Text, w.Unit), ".")
		near := c.Tolerance*f/wf + 0.5000001*math.Pow(10, -float64(len(decimals)))
		// Without units, parameters may be told in thousands, millions or billions, shares in percent.
		for _, scale := range []float64{1, 1e3, 1e6, 1e9, 0.01} {
			if scale != 1 && dim != "" {
				break
			}
			if math.Abs(math.Abs(value*f/(wf*scale))-math.Abs(w.Value)) <= near+1e-12*math.Abs(w.Value) {
				return ""
			}
		}
		if first == "" {
			first = w.written()
		}
	}
	if first == "" {
		return ""
	}
	return fmt.Sprintf("its text says %s, its value is %s %s", first, c.Value, c.Unit)
}

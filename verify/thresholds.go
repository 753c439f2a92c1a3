package verify

import "strings"

// Thresholds bound the figures of one file; a figure counts as beyond its bound when it is so by two standard errors. A zero field takes the default of the file's scheme, a negative one is no bound.
// Bounds of KL divergence and perplexity ratio are upper ones, those of agreement lower ones.
type Thresholds struct {
	KLDWarn, KLDFail           float64 // mean KL divergence from the source, nats
	PPLRatioWarn, PPLRatioFail float64 // perplexity over the source's
	Top1Warn, Top1Fail         float64 // share of positions whose most likely token is the source's
	Coverage                   float64 // share of routed experts that some token of the text must reach; below warns
}

// band is what a sound quantization of the tiny model measures, three times over (llama-perplexity's table; KL
// divergence, 1 - perplexity ratio and 1 - agreement tripled). Larger models lose less.
type band struct {
	prefix        string // of the scheme's name
	kld, ratio, t float64
}

// bands are tried in order.
var bands = []band{
	{"F32", 0.0002, 1.001, 0.99},
	{"F16", 0.0002, 1.001, 0.99},
	{"BF16", 0.0002, 1.001, 0.99},
	{"Q8_0", 0.0012, 1.001, 0.96},
	{"Q6_K", 0.006, 1.009, 0.91},
	{"Q5", 0.011, 1.013, 0.88},
	{"Q4_K", 0.025, 1.035, 0.82},
	{"Q4", 0.034, 1.036, 0.77},
	{"IQ4", 0.03, 1.02, 0.80},
	{"MXFP4", 0.03, 1.03, 0.80},
	{"Q3_K_S", 0.1, 1.08, 0.63},
	{"Q3", 0.06, 1.055, 0.71},
	{"IQ3", 0.13, 1.14, 0.59},
	{"Q2_K_S", 0.35, 1.33, 0.38},
	{"Q2_K", 0.25, 1.25, 0.46},
	{"IQ2", 0.5, 1.55, 0.30},
	{"", 1, 2.2, 0.1},
}

// sure is by how many standard errors a figure must lie beyond its bound, or another file's, to count.
const sure = 2

// DefaultThresholds are the bounds of a scheme (Q4_K_M). They only warn: in the tiny model an expert out of order costs
// 0.05 to 0.15 nats whatever the scheme, below six bits a sound file may hide it, and untrained models lose far more in
// every scheme. What fails a file is its weights (fidelity), and a smaller file of the release that does better (dominance).
func DefaultThresholds(scheme string) Thresholds {
	for _, b := range bands {
		if strings.HasPrefix(strings.ToUpper(scheme), b.prefix) {
			return Thresholds{
				KLDWarn: b.kld, KLDFail: -1,
				PPLRatioWarn: b.ratio, PPLRatioFail: -1,
				Top1Warn: b.t, Top1Fail: -1,
				Coverage: 0.7,
			}
		}
	}
	return Thresholds{} // the last band takes every name
}

// over lays t's fields over the defaults.
func (t Thresholds) over(d Thresholds) Thresholds {
	pick := func(v, def float64) float64 {
		if v == 0 {
			return def
		}
		return v
	}
	return Thresholds{
		KLDWarn: pick(t.KLDWarn, d.KLDWarn), KLDFail: pick(t.KLDFail, d.KLDFail),
		PPLRatioWarn: pick(t.PPLRatioWarn, d.PPLRatioWarn), PPLRatioFail: pick(t.PPLRatioFail, d.PPLRatioFail),
		Top1Warn: pick(t.Top1Warn, d.Top1Warn), Top1Fail: pick(t.Top1Fail, d.Top1Fail),
		Coverage: pick(t.Coverage, d.Coverage),
	}
}

// atMost judges a figure against upper bounds; a NaN fails.
func atMost(v, warn, fail float64) (Status, Number) {
	switch {
	case v != v || fail >= 0 && v > fail:
		return Fail, bound(fail)
	case warn >= 0 && v > warn:
		return Warn, bound(warn)
	case fail >= 0:
		return Pass, bound(fail)
	}
	return Pass, bound(warn)
}

// atLeast judges a figure against lower bounds; a NaN fails.
func atLeast(v, warn, fail float64) (Status, Number) {
	switch {
	case v != v || fail >= 0 && v < fail:
		return Fail, bound(fail)
	case warn >= 0 && v < warn:
		return Warn, bound(warn)
	case fail >= 0:
		return Pass, bound(fail)
	}
	return Pass, bound(warn)
}

// bound is a threshold as a result shows it: None if it is off.
func bound(v float64) Number {
	if v < 0 {
		return None()
	}
	return Number(v)
}

package evidence

import (
	"regexp"
	"strconv"
	"strings"
)

// Word is a word of a text that holds a digit.
type Word struct {
	Line   int // from 1
	Text   string
	Number bool    // a quantity, not a name such as Q4_K_M
	Value  float64 // of a number
	Unit   string  // written with it, or as the next word: GB in 13.8GB and in 13.8 GB
}

var (
	// wordShape is what is not split: names, paths, hashes, versions, numbers with their units.
	wordShape = regexp.MustCompile(`[\p{L}\p{N}_][\p{L}\p{N}_./:@%+,°µ-]*`)
	quantity  = regexp.MustCompile(`^(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?([eE][+-]?\d+)?([%x×]|[A-Za-zµ]{1,5}(?:/s)?)?$`)
	nextUnit  = regexp.MustCompile(`^[ \x{00a0}](%|[KMGT]i?B|kB|bytes|B|TPS|tok/s|tokens/s|ns|us|µs|ms|s|min|h|seconds)(?:[^\p{L}\p{N}]|$)`)
)

// unitWords are the letters that may follow a number and make it a quantity; with others it is a name (16b, v3, 3D).
var unitWords = map[string]bool{"%": true, "x": true, "×": true, "B": true, "KB": true, "kB": true, "MB": true, "GB": true, "TB": true, "KiB": true,
	"MiB": true, "GiB": true, "TiB": true, "ns": true, "us": true, "µs": true, "ms": true, "s": true, "min": true, "h": true, "TPS": true, "tok/s": true}

// Words finds the words of a text that hold a digit, in order.
func Words(text string) []Word {
	var out []Word
	n := 0
	for line := range strings.Lines(text) {
		n++
		for _, span := range wordShape.FindAllStringIndex(line, -1) {
			w := strings.TrimRight(line[span[0]:span[1]], "./:,+-@")
			if !strings.ContainsAny(w, "0123456789") {
				continue
			}
			word := Word{Line: n, Text: w}
			word.parse(line[:span[0]], line[span[0]+len(w):])
			out = append(out, word)
		}
	}
	return out
}

// parse tells a quantity from a name. before and after are the rest of the line.
func (w *Word) parse(before, after string) {
	m := quantity.FindStringSubmatch(w.Text)
	if m == nil || m[4] != "" && !unitWords[m[4]] {
		return
	}
	// Attached to what no word may hold, as in "#15" or "=99", it is still a number; after a hyphen or a dot that
	// belongs to a name the shape above has it in one word already.
	v, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", "")+m[2]+m[3], 64)
	if err != nil {
		return
	}
	if strings.HasSuffix(before, "-") || strings.HasSuffix(before, "−") {
		v = -v
	}
	w.Number, w.Value, w.Unit = true, v, m[4]
	if w.Unit == "" {
		if u := nextUnit.FindStringSubmatch(after); u != nil {
			w.Unit = u[1]
		}
	}
}

// written is a quantity with its unit.
func (w *Word) written() string {
	if w.Unit == "" || strings.HasSuffix(w.Text, w.Unit) {
		return w.Text
	}
	return w.Text + " " + w.Unit
}

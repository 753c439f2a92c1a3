package recipes

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// units of sizes: K, M, G, T are decimal as in llama.cpp's tools, KiB ... TiB binary.
var units = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"B", 1}, {"", 1},
}

// maxText bounds texts to measure on, which are read whole.
const maxText = 1 << 30

// ReadText reads a text to measure on.
func ReadText(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.Size() > maxText {
		return "", fmt.Errorf("%s: %d bytes of text are too many", name, info.Size())
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// ParseSize reads a size in bytes: 50G, 512MiB, 1.5GB, 4096.
func ParseSize(s string) (int64, error) {
	for _, u := range units {
		num, ok := strings.CutSuffix(strings.TrimSpace(s), u.suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || !(f > 0) || f*u.factor >= math.MaxInt64 {
			break
		}
		return int64(f * u.factor), nil
	}
	return 0, fmt.Errorf("size %q: want a number above 0 with K, M, G (decimal) or KiB, MiB, GiB", s)
}

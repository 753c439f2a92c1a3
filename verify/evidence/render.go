package evidence

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Render writes a value of the evidence as a card shows it. Formats: "" as it is; d a whole number; fN with N digits
// after the point; pN a share as a percentage; MB, GB, MiB, GiB sizes in bytes with two digits; ms seconds as
// milliseconds; s8 the first eight letters; B a count in billions with two digits.
func Render(format string, v any) (string, error) {
	if s, ok := v.(string); ok {
		switch format {
		case "":
			return s, nil
		case "s8":
			return s[:min(8, len(s))], nil
		}
		return "", fmt.Errorf("evidence: a text cannot be written as %q", format)
	}
	if b, ok := v.(bool); ok && format == "" {
		return strconv.FormatBool(b), nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return "", fmt.Errorf("evidence: %s cannot be written on a card", show(v))
	}
	if format == "" {
		return n.String(), nil
	}
	f, err := n.Float64()
	if err != nil {
		return "", fmt.Errorf("evidence: %w", err)
	}
	return renderNumber(format, f)
}

func renderNumber(format string, f float64) (string, error) {
	switch format {
	case "d":
		return strconv.FormatFloat(f, 'f', 0, 64), nil
	case "ms":
		return strconv.FormatFloat(1000*f, 'f', 1, 64) + " ms", nil
	case "B":
		return strconv.FormatFloat(f/1e9, 'f', 2, 64) + " B", nil
	}
	if unit, ok := byteUnits[format]; ok {
		return strconv.FormatFloat(f/unit, 'f', 2, 64) + " " + format, nil
	}
	kind, digits := format[:1], format[1:]
	if n, err := strconv.Atoi(digits); err == nil && n >= 0 && n <= 12 && strings.Contains("fp", kind) {
		if kind == "p" {
			return strconv.FormatFloat(100*f, 'f', n, 64) + "%", nil
		}
		return strconv.FormatFloat(f, 'f', n, 64), nil
	}
	return "", fmt.Errorf("evidence: there is no format %q", format)
}

package evidence

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// ClaimsName is the file of a bundle that holds its claims.
const ClaimsName = "claims.json"

const claimsSchema = "moeconv/claims/1"

// Claim is one statement and where it is proven.
type Claim struct {
	Text      string          `json:"text"`
	Value     json.RawMessage `json:"value"` // a number, a string or a truth value
	Unit      string          `json:"unit"`
	Evidence  string          `json:"evidence"`         // path below the bundle
	Pointer   string          `json:"pointer"`          // JSON pointer; in a text /N is line N
	Tolerance float64         `json:"tolerance"`        // in the claim's unit, absolute
	Metric    string          `json:"metric,omitempty"` // what was measured; two claims of one metric and scope must agree
	Scope     string          `json:"scope,omitempty"`
}

// Claims is the document of a bundle's claims.
type Claims struct {
	Schema string  `json:"schema"`
	Claims []Claim `json:"claims"`
}

// NewClaims is the document that holds a list of claims.
func NewClaims(list []Claim) *Claims { return &Claims{claimsSchema, list} }

// ReadClaims reads a claims document: the object that a bundle holds, or a bare array of claims.
func ReadClaims(fsys fs.FS, name string) ([]Claim, error) {
	data, err := readFile(fsys, name)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.TrimSpace(string(data)), "[") {
		var list []Claim
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, fmt.Errorf("evidence: %s: %w", name, err)
		}
		return list, nil
	}
	var c Claims
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("evidence: %s: %w", name, err)
	}
	if c.Schema != claimsSchema {
		return nil, fmt.Errorf("evidence: %s: schema %q, want %q", name, c.Schema, claimsSchema)
	}
	return c.Claims, nil
}

// NewClaim is a claim whose value is v.
func NewClaim(text string, v any, unit, evidence, pointer string, tolerance float64) (Claim, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return Claim{}, fmt.Errorf("evidence: claim %q: %w", text, err)
	}
	return Claim{Text: text, Value: raw, Unit: unit, Evidence: evidence, Pointer: pointer, Tolerance: tolerance}, nil
}

// byteUnits are the units of sizes, in bytes.
var byteUnits = map[string]float64{"B": 1, "bytes": 1, "byte": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

// timeUnits are the units of times, in seconds.
var timeUnits = map[string]float64{"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600}

// factors lists by what the claim's value may be multiplied to be in the unit of the evidence, which the last key of
// the pointer tells: total_bytes, vram_mib, load_s. A percentage may stand for a share.
func (c *Claim) factors() []float64 {
	key := strings.ToLower(path.Base(c.Pointer))
	if b, ok := byteUnits[c.Unit]; ok {
		for suffix, unit := range map[string]float64{"bytes": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1e3, "mb": 1e6, "gb": 1e9} {
			if key == suffix || strings.HasSuffix(key, "_"+suffix) {
				return []float64{b / unit}
			}
		}
	}
	if s, ok := timeUnits[c.Unit]; ok {
		for suffix, unit := range map[string]float64{"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "seconds": 1} {
			if key == suffix || strings.HasSuffix(key, "_"+suffix) {
				return []float64{s / unit}
			}
		}
	}
	if c.Unit == "%" {
		return []float64{1, 0.01}
	}
	return []float64{1}
}

// check says what is wrong with a claim; "" if the evidence bears it out.
func (c *Claim) check(open func(string) (*document, error)) string {
	if c.Tolerance < 0 || math.IsNaN(c.Tolerance) || math.IsInf(c.Tolerance, 0) {
		return fmt.Sprintf("tolerance %v", c.Tolerance)
	}
	d, err := open(c.Evidence)
	if err != nil {
		return err.Error()
	}
	found, err := d.at(c.Pointer)
	if err != nil {
		return err.Error()
	}
	claimed, err := decode(c.Value)
	if err != nil {
		return fmt.Sprintf("its value is no JSON: %v", err)
	}
	switch want := claimed.(type) {
	case json.Number:
		return c.checkNumber(want, found)
	case string:
		if s, ok := found.(string); !ok || (s != want && (d.lines == nil || !strings.Contains(s, want))) {
			return fmt.Sprintf("claimed %q, %s says %s", want, c.place(), show(found))
		}
	case bool:
		if found != want {
			return fmt.Sprintf("claimed %v, %s says %s", want, c.place(), show(found))
		}
	default:
		return "its value is neither a number nor a string nor a truth value"
	}
	return ""
}

func (c *Claim) place() string { return c.Evidence + "#" + c.Pointer }

func (c *Claim) checkNumber(claimed json.Number, found any) string {
	want, err := claimed.Float64()
	if err != nil {
		return err.Error()
	}
	for _, got := range numbersIn(found) {
		for _, f := range c.factors() {
			// The last term is the error of the multiplication, for claims of a tolerance of 0.
			if math.Abs(want*f-got) <= c.Tolerance*f+1e-12*math.Abs(got) {
				return ""
			}
		}
	}
	return fmt.Sprintf("claimed %s %s, %s says %s", claimed, c.Unit, c.place(), show(found))
}

// numbersIn is the number that a value is, or all that stand in a line of text.
func numbersIn(v any) []float64 {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return []float64{f}
		}
	case string:
		var out []float64
		for _, w := range Words(v) {
			if w.Number {
				out = append(out, w.Value)
			}
		}
		return out
	}
	return nil
}

// show is a value of the evidence, cut to what fits a line.
func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	const most = 80
	if len(b) > most {
		return string(b[:most]) + "..."
	}
	return string(b)
}

// contradictions finds claims of the same metric and scope that say different things.
func contradictions(claims []Claim) []string {
	first := map[[2]string]*Claim{}
	var out []string
	for i := range claims {
		c := &claims[i]
		if c.Metric == "" {
			continue
		}
		key := [2]string{c.Metric, c.Scope}
		a, ok := first[key]
		if !ok {
			first[key] = c
			continue
		}
		if !a.agrees(c) {
			out = append(out, fmt.Sprintf("%s of %s: %s %s in %q, %s %s in %q", c.Metric, c.Scope, a.Value, a.Unit, a.Text, c.Value, c.Unit, c.Text))
		}
	}
	return out
}

// agrees reports whether two claims can both be true.
func (c *Claim) agrees(o *Claim) bool {
	a, aerr := strconv.ParseFloat(string(c.Value), 64)
	b, berr := strconv.ParseFloat(string(o.Value), 64)
	if aerr != nil || berr != nil {
		return string(c.Value) == string(o.Value) && c.Unit == o.Unit
	}
	fa, da := base(c.Unit)
	fb, db := base(o.Unit)
	return da == db && math.Abs(a*fa-b*fb) <= c.Tolerance*fa+o.Tolerance*fb+1e-12*math.Abs(a*fa)
}

// base is a unit's factor and dimension.
func base(unit string) (float64, string) {
	if f, ok := byteUnits[unit]; ok {
		return f, "bytes"
	}
	if f, ok := timeUnits[unit]; ok {
		return f, "time"
	}
	return 1, unit
}

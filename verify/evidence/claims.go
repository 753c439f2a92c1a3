package evidence

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
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
	if p := c.misstated(want); p != "" {
		return p
	}
	for _, q := range c.quantities(found) {
		for _, f := range factors(c.Unit, q) {
			// The last term is the error of the multiplication, for claims of a tolerance of 0.
			if math.Abs(want*f-q.value) <= c.Tolerance*f+1e-12*math.Abs(q.value) {
				return ""
			}
		}
	}
	return fmt.Sprintf("claimed %s %s, %s says %s", claimed, c.Unit, c.place(), show(found))
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

package evidence

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// Comparison is what a second run says of the first one's claims.
type Comparison struct {
	Claims     int         `json:"claims"`
	Deviations int         `json:"deviations"`
	Same       bool        `json:"same"`
	Machines   string      `json:"machines"` // why speeds were not compared; empty: they may be
	Results    []Deviation `json:"results"`
}

// Deviation is one claim and what the second run found.
type Deviation struct {
	Claim string          `json:"claim"`
	Was   json.RawMessage `json:"was"`
	Is    json.RawMessage `json:"is"`
	Same  bool            `json:"same"`
	Why   string          `json:"why,omitempty"`
}

// drift is how far a figure may lie from the first run's, relative: the sums of another machine's instruction set may
// be in another order. Hashes, sizes, counts and words must be equal.
const drift = 1e-3

// Compare holds every claim of a bundle against the same place of another bundle.
func Compare(was, is fs.FS) (*Comparison, error) {
	claims, err := ReadClaims(was, ClaimsName)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Claims: len(claims), Same: len(claims) > 0}
	var a, b Environment
	if err := readJSON(was, EnvironmentName, &a); err != nil {
		return nil, err
	}
	if err := readJSON(is, EnvironmentName, &b); err != nil {
		return nil, err
	}
	c.Machines = a.Comparable(b)
	docs := cached(is)
	for i := range claims {
		d := claims[i].again(docs)
		if !d.Same {
			c.Deviations++
			c.Same = false
		}
		c.Results = append(c.Results, d)
	}
	return c, nil
}

// again is the claim held against another bundle.
func (c *Claim) again(open func(string) (*document, error)) Deviation {
	d := Deviation{Claim: c.Text, Was: c.Value, Is: json.RawMessage("null")}
	doc, err := open(c.Evidence)
	if err != nil {
		d.Why = err.Error()
		return d
	}
	v, err := doc.at(c.Pointer)
	if err != nil {
		d.Why = err.Error()
		return d
	}
	if d.Is, err = json.Marshal(v); err != nil {
		d.Why = err.Error()
		return d
	}
	wide := *c
	if claimed, err := decode(c.Value); err == nil {
		if n, ok := claimed.(json.Number); ok {
			if f, err := n.Float64(); err == nil && f != math.Trunc(f) {
				wide.Tolerance = math.Max(wide.Tolerance, drift*math.Abs(f))
			}
		}
	}
	d.Why = wide.check(open)
	d.Same = d.Why == ""
	return d
}

// Print writes the comparison for people.
func (c *Comparison) Print(w io.Writer) error {
	for _, d := range c.Results {
		mark := "same"
		if !d.Same {
			mark = "DIFFERS"
		}
		if _, err := fmt.Fprintf(w, "  %-7s  %s\n", mark, d.Claim); err != nil {
			return err
		}
		if !d.Same {
			if _, err := fmt.Fprintln(w, "           "+d.Why); err != nil {
				return err
			}
		}
	}
	if c.Machines != "" {
		if _, err := fmt.Fprintln(w, "  not compared: speeds, since the machines differ ("+c.Machines+")"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d claims, %d deviations\n", c.Claims, c.Deviations)
	return err
}

package bench

// Bounds of the streaming protocol.
const (
	goodSpeed       = 2.0 // tok/s
	acceptableSpeed = 1.0
	leastSuccess    = 0.9
	leastDrift      = 0.8 // speed of the last quarter of the tokens over that of the first
)

// Protocol is what the streaming protocol says of a model's answers.
type Protocol struct {
	Success bool     `json:"success"`       // nine answers of ten score 3 or more
	Speed   string   `json:"speed"`         // of the slowest answer: good from 2 tok/s on, acceptable from 1 on, else slow; unknown where it was not seen
	Slowest *float64 `json:"slowest_tok_s"` // decoded
	Steady  *bool    `json:"steady"`        // no prompt's mean drift is below 0.8; null where answers are too short to tell
	Drift   *float64 `json:"least_drift"`
}

// judge is the protocol's word on a model whose cells are there.
func (m *Model) judge() *Protocol {
	p := &Protocol{Success: m.Success >= leastSuccess-1e-9, Speed: "unknown"}
	for i := range m.Rows {
		p.Slowest = lesser(p.Slowest, m.Rows[i].Decode)
	}
	if p.Slowest != nil {
		switch v := *p.Slowest; {
		case v >= goodSpeed:
			p.Speed = "good"
		case v >= acceptableSpeed:
			p.Speed = "acceptable"
		default:
			p.Speed = "slow"
		}
	}
	for _, c := range m.Cells {
		if c.Drift != nil {
			p.Drift = lesser(p.Drift, &c.Drift.Mean)
		}
	}
	if p.Drift != nil {
		steady := *p.Drift >= leastDrift
		p.Steady = &steady
	}
	return p
}

// lesser is the smaller of two values, either of which may be nil.
func lesser(a, b *float64) *float64 {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}

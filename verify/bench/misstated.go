package bench

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Misstated names what a report, as JSON, says of its rows together and the rows do not bear out: how many answers agree,
// how many are good, how models compare. Means and intervals of cells are not looked at. Other documents of bench have none
// of these.
func Misstated(report []byte) ([]string, error) {
	var r Report
	if err := json.Unmarshal(report, &r); err != nil {
		return nil, err
	}
	suite := &Suite{Prompts: r.Prompts, Modes: r.Modes}
	if s := FindSuite(r.Suite); s != nil {
		suite.Judged = s.Judged
	}
	var out []string
	for _, m := range r.Models {
		again := Model{Rows: m.Rows}
		again.summarise(suite)
		at := m.Name + ": "
		out = append(out, differ(at+"streaming_agreement", m.Same, again.Same)...)
		out = append(out, differ(at+"success", m.Success, again.Success)...)
		out = append(out, differ(at+"protocol", m.Protocol, again.Protocol)...)
		out = append(out, differ(at+"cores_busy", m.Cores, again.Cores)...)
	}
	said := r.Compared
	if r.Compare(); len(said)+len(r.Compared) > 0 {
		out = append(out, differ("compared", said, r.Compared)...)
	}
	return out, nil
}

// differ compares two values as JSON and names where they do.
func differ(at string, said, derived any) []string {
	a, err := decoded(said)
	if err != nil {
		return []string{at + ": " + err.Error()}
	}
	b, err := decoded(derived)
	if err != nil {
		return []string{at + ": " + err.Error()}
	}
	return walk(at, a, b)
}

func decoded(v any) (out any, err error) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	return out, err
}

// walk walks two decoded values.
func walk(at string, said, derived any) (out []string) {
	switch a := said.(type) {
	case map[string]any:
		b, ok := derived.(map[string]any)
		if !ok {
			break
		}
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			out = append(out, walk(at+"/"+k, a[k], b[k])...)
		}
		return out
	case []any:
		b, ok := derived.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			out = append(out, walk(fmt.Sprintf("%s/%d", at, i), a[i], b[i])...)
		}
		return out
	}
	if same(said, derived) {
		return nil
	}
	return []string{fmt.Sprintf("%s is %s, by the rows %s", at, short(said), short(derived))}
}

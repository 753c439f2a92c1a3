package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
)

// requestName tells a request from the others, in a trace as in a report.
type requestName struct {
	model, prompt, mode string
	run, order          int
}

func (r requestName) String() string {
	return fmt.Sprintf("%s: %s, %s, run %d, order %d", r.model, r.prompt, r.mode, r.run, r.order)
}

// Contradictions holds the rows of a report, as JSON, against the trace of its requests: every figure of a row is
// derived again. It names rows whose request is not in the trace, requests that no row has, and figures that differ.
// Tokens that a tokenizer counted are taken as they are, for lack of that.
func Contradictions(report []byte, traces io.Reader) ([]string, error) {
	lines, err := readTraces(traces)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Models []struct {
			Name   string           `json:"name"`
			WarmUp map[string]any   `json:"warm_up"`
			Rows   []map[string]any `json:"rows"`
			Greedy []map[string]any `json:"greedy"`
		} `json:"models"`
	}
	if err := json.Unmarshal(report, &doc); err != nil {
		return nil, err
	}
	var out []string
	for _, m := range doc.Models {
		for _, row := range slices.Concat([]map[string]any{m.WarmUp}, m.Rows, m.Greedy) {
			if row == nil {
				continue
			}
			name := nameOf(m.Name, row)
			if len(lines[name]) == 0 {
				out = append(out, fmt.Sprintf("%v: the trace has no such request", name))
				continue
			}
			t := lines[name][0]
			lines[name] = lines[name][1:]
			out = append(out, t.contradict(name, row)...)
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(lines), func(a, b requestName) int { return a.order - b.order }) {
		for range lines[name] {
			out = append(out, fmt.Sprintf("%v: the trace has a request that the rows lack", name))
		}
	}
	return out, nil
}

// readTraces reads the lines of a trace file. Models of one name may have the same request.
func readTraces(r io.Reader) (map[requestName][]*trace, error) {
	lines := map[requestName][]*trace{}
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxAnswer)
	for n := 1; scan.Scan(); n++ {
		t := &trace{}
		if err := json.Unmarshal(scan.Bytes(), t); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		name := requestName{t.Model, t.Prompt, t.Mode, t.Run, t.Order}
		lines[name] = append(lines[name], t)
	}
	return lines, scan.Err()
}

func nameOf(model string, row map[string]any) requestName {
	name := requestName{model: model}
	name.prompt, _ = row["prompt"].(string)
	name.mode, _ = row["mode"].(string)
	run, _ := row["run"].(float64)
	order, _ := row["order"].(float64)
	name.run, name.order = int(run), int(order)
	return name
}

// contradict compares a row with what the trace says of it.
func (t *trace) contradict(name requestName, row map[string]any) []string {
	tokens, counted := row["completion_tokens"].(float64)
	var count func(string) (int, error)
	if counter, _ := row["counter"].(string); counted && counter == "tokenizer" {
		count = func(string) (int, error) { return int(tokens), nil }
	}
	want, err := t.row(count)
	if err != nil {
		return []string{fmt.Sprintf("%v: the trace: %v", name, err)}
	}
	data, err := json.Marshal(want)
	if err != nil {
		return []string{fmt.Sprintf("%v: %v", name, err)}
	}
	derived := map[string]any{}
	if err := json.Unmarshal(data, &derived); err != nil {
		return []string{fmt.Sprintf("%v: %v", name, err)}
	}
	keys := maps.Clone(row)
	maps.Copy(keys, derived)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !same(row[key], derived[key]) {
			out = append(out, fmt.Sprintf("%v: %s is %s, the trace has %s", name, key, short(row[key]), short(derived[key])))
		}
	}
	return out
}

// same compares decoded JSON; numbers may differ by what writing and reading them does.
func same(a, b any) bool {
	x, ok := a.(float64)
	y, ok2 := b.(float64)
	if ok && ok2 {
		return math.Abs(x-y) <= 1e-9*math.Max(math.Abs(x), math.Abs(y))
	}
	return reflect.DeepEqual(a, b)
}

// short is a value of a message.
func short(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	const most = 80
	if len(data) > most {
		return string(data[:most]) + "..."
	}
	return string(data)
}

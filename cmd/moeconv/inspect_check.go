package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/verify"
)

// checksDoc is what inspect --check adds to inspect's document.
type checksDoc struct {
	Status verify.Status   `json:"status,omitempty"` // the worst of the checks'
	Checks []verify.Result `json:"checks,omitempty"`
	Advice []string        `json:"advice,omitempty"`
}

func newChecksDoc(results []verify.Result, advice []string) checksDoc {
	d := checksDoc{verify.Pass, results, advice}
	for _, r := range results {
		d.Status = verify.Worse(d.Status, r.Status)
	}
	return d
}

// damaged reports whether err, of opening name, says that a file is there and is not sound.
func damaged(name string, err error) bool {
	info, serr := os.Stat(name)
	if serr != nil || info.IsDir() || !info.Mode().IsRegular() {
		return false
	}
	var unsupported *gguf.UnsupportedError
	return !errors.As(err, &unsupported) && !errors.Is(err, fs.ErrPermission)
}

// unreadable is the outcome for a file whose header cannot be read.
func unreadable(err error) []verify.Result {
	var out []verify.Result
	for i, c := range verify.Header() {
		r := verify.Resultf(verify.NotApplicable, "not run: the header cannot be read")
		if i == 0 {
			r = verify.NewResult(verify.Fail, err.Error())
		}
		r.Name = c.Name
		out = append(out, r)
	}
	return out
}

// headerChecks are the results of all checks that need nothing but headers.
func headerChecks(ctx context.Context, src gguf.Source) []verify.Result {
	var out []verify.Result
	for _, c := range verify.Header() {
		r := c.Run(ctx, &verify.Subject{Source: src})
		r.Name = c.Name
		out = append(out, r)
	}
	return out
}

func failed(r verify.Result) bool { return r.Status == verify.Fail }

// table is the checks' outcome for people.
func (d *checksDoc) table(file string) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"check", "result", "found"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: 100}})
	for _, r := range d.Checks {
		t.AppendRow(table.Row{r.Name, r.Status, r.Detail})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s\n", file, strings.ToUpper(string(d.Status)), t.Render())
	for _, s := range d.Advice {
		fmt.Fprintf(&b, "advice: %s\n", s)
	}
	return b.String()
}

// advise says what to do about a breach of the load contract.
func advise(src gguf.Source) []string {
	md, tensors := src.Metadata(), src.Tensors()
	err := family.CheckContract(md, tensors)
	var breach *family.ContractError
	if !errors.As(err, &breach) {
		return nil
	}
	if hint := hintOf(err); hint != "" {
		return []string{hint}
	}
	if s := adviseBlocks(md, tensors); s != "" {
		return []string{s}
	}
	switch {
	case breach.Tensor == names.OutputWeight.Weight() && breach.Got == nil:
		return []string{"output.weight is missing: where the model ties it to the embedding, its checkpoint must say so (tie_word_embeddings); else the checkpoint lacks lm_head.weight: convert it again"}
	case breach.Tensor == "":
		return []string{"moeconv set mends a key: set FILE --kv KEY=TYPE:VALUE"}
	case breach.Want == nil:
		return []string{"a tensor too many: a loader stops at tensors it does not ask for; convert the checkpoint again"}
	case breach.Got == nil:
		return []string{"a tensor is missing: is the checkpoint whole (every shard of its index)? Convert it again"}
	}
	return []string{"shape and metadata disagree: convert the checkpoint again, or mend the key with moeconv set"}
}

// adviseBlocks says what to do where block_count or nextn_predict_layers promise blocks that are not there.
func adviseBlocks(md *gguf.Metadata, tensors []gguf.TensorInfo) string {
	blocks, err := md.Int(md.ModelKey("block_count"))
	if err != nil {
		return ""
	}
	var have []int
	for _, t := range tensors {
		if n := names.Parse(t.Name); n.Block >= 0 && !slices.Contains(have, n.Block) {
			have = append(have, n.Block)
		}
	}
	there := int64(len(have))
	if there == 0 || there >= blocks {
		return ""
	}
	nextn := md.ModelKey("nextn_predict_layers")
	if n, err := md.Int(nextn); err == nil && blocks-there == n {
		return fmt.Sprintf("%s is %d, but the layers it counts are not in the file (an mtp.safetensors that was not converted?): convert with it, or "+
			"moeconv set FILE --kv %s=u32:0 --kv %s=u32:%d", nextn, n, nextn, md.ModelKey("block_count"), there)
	}
	return fmt.Sprintf("%s is %d, the file has tensors of %d blocks: is the checkpoint whole?", md.ModelKey("block_count"), blocks, there)
}

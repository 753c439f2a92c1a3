package recipes

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
)

// planned is an output of the recipe that is to be written.
type planned struct {
	Extra
	job *quantize.Job
	bpw float64
	out gguf.Output
}

// outputs writes the recipe's files in one pass over the checkpoint, but for those that are there from an equal,
// earlier run.
func (j *job) outputs(ctx context.Context) error {
	todo, err := j.todo()
	if err != nil {
		return err
	}
	if len(todo) > 0 {
		if err := j.write(ctx, todo); err != nil {
			return err
		}
	}
	j.report.stage("quantize", fmt.Sprintf("%d files, %d bytes written by this run", len(j.report.Outputs), j.report.Written))
	return nil
}

// write writes outputs and records them. An interrupted run goes on where it was.
func (j *job) write(ctx context.Context, todo []planned) error {
	labels, jobs := make([]string, len(todo)), make([]*quantize.Job, len(todo))
	run := gguf.Job{Note: j.o.Observer.Note}
	for i, p := range todo {
		labels[i], jobs[i] = p.Label, p.job
		run.Outputs = append(run.Outputs, p.out)
	}
	batch, err := quantize.NewBatch(jobs...)
	if err != nil {
		return err
	}
	run.Rows = batch.ReadRows
	if run.Inputs, err = j.inputLines(); err != nil {
		return err
	}
	progress, done := j.o.Observer.Track("quantize "+strings.Join(labels, ", "), true)
	defer done()
	run.WriteOptions = gguf.WriteOptions{Workers: j.o.Threads, Memory: j.o.Memory, Progress: progress}
	start := time.Now()
	run.Finished = func(files [][]gguf.Written) error {
		for i, p := range todo {
			if err := j.record(p, files[i], time.Since(start)); err != nil {
				return err
			}
		}
		j.touch()
		return j.save()
	}
	_, err = run.Run(ctx)
	return err
}

// record puts a written output into the report and its files into SHA256SUMS.
func (j *job) record(p planned, files []gguf.Written, took time.Duration) error {
	rec := Output{Label: p.Label, Scheme: p.Type, BPW: p.bpw, Seconds: took.Seconds()}
	for _, f := range files {
		fr, err := recordFile(j.o.Out, f)
		if err != nil {
			return err
		}
		rec.Files = append(rec.Files, fr)
		rec.Bytes += f.Bytes
		j.report.Written += f.Bytes
	}
	j.report.put(rec)
	return gguf.RecordSums(files)
}

// output plans one output.
func (j *job) output(w Extra) (planned, error) {
	p := planned{Extra: w}
	scheme, err := quantize.ParseScheme(w.Type)
	if err != nil {
		return p, err
	}
	o, err := j.options(w)
	if err != nil {
		return p, err
	}
	if p.job, err = quantize.New(j.source, scheme, o); err != nil {
		return p, err
	}
	sum, err := p.job.Summary()
	if err != nil {
		return p, err
	}
	notes := p.job.Coverage().Lines()
	if j.covered { // the holes of one output are mostly those of the others
		notes = notes[:min(1, len(notes))]
	}
	j.covered = true
	for _, line := range append(notes, sum.Warning(), sum.Misleading()) {
		if line != "" {
			j.o.Observer.Note(w.Label + ": " + line)
		}
	}
	p.bpw = sum.BitsPerWeight
	src, err := j.tag(p.job)
	if err != nil {
		return p, err
	}
	p.out, err = j.place(w, src)
	return p, err
}

// place is where an output goes, and how it is split.
func (j *job) place(w Extra, src gguf.Source) (gguf.Output, error) {
	out := gguf.Output{Source: src, Options: gguf.FileOptions{
		Force: j.o.Force || j.report.output(w.Label) != nil, MetadataFirst: j.r.Outputs.Split.MetadataFirst}}
	tmpl := j.r.Outputs.Single
	if max := j.r.Outputs.Split.MaxSize; max != "" {
		size, err := ParseSize(max)
		if err != nil {
			return out, err
		}
		layout, err := gguf.Layout(src.Metadata(), src.Tensors())
		if err != nil {
			return out, err
		}
		if layout.Size > size {
			out.Options.SplitMaxSize, tmpl = size, j.r.Outputs.Sharded
		}
	}
	out.Name = filepath.Join(j.o.Out, strings.NewReplacer("{name}", j.name, "{label}", w.Label).Replace(tmpl))
	key, err := json.Marshal(w)
	if err != nil {
		return out, err
	}
	out.Key = []string{string(key)}
	return out, os.MkdirAll(filepath.Dir(out.Name), 0o777)
}

// inputLines are the files that a run reads, one line each.
func (j *job) inputLines() ([]string, error) {
	lines := []string{}
	for _, in := range j.report.Inputs {
		lines = append(lines, fmt.Sprintf("%s %d bytes %.16s %s", in.Name, in.Bytes, in.SHA256, in.Time))
	}
	if name := j.imatrixName(); name != "" {
		sum, err := hashFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s %.16s", filepath.Base(name), sum))
	}
	return lines, nil
}

// options are what an output wants beyond its scheme.
func (j *job) options(w Extra) (quantize.Options, error) {
	o := quantize.Options{Imatrix: j.im, KeepNative: j.r.Outputs.KeepNative}
	if j.im != nil {
		o.ImatrixName = filepath.Base(j.imatrixName())
	}
	var err error
	if o.Mix, err = quantize.ParseMix(w.Mix); err != nil {
		return o, err
	}
	if h := j.r.Imatrix.Holes; h != "" {
		if o.ImatrixHoles, err = quantize.ParseHoles(h); err != nil {
			return o, err
		}
	}
	for _, t := range []struct {
		name string
		to   **gguf.Type
	}{{w.TokenEmbedding, &o.TokenEmbeddingType}, {w.Output, &o.OutputTensorType}} {
		if t.name == "" {
			continue
		}
		typ, err := gguf.ParseType(t.name)
		if err != nil {
			return o, err
		}
		*t.to = &typ
	}
	for _, pattern := range sortedKeys(w.Tensors) {
		typ, err := gguf.ParseType(w.Tensors[pattern])
		if err != nil {
			return o, err
		}
		o.TensorTypes = append(o.TensorTypes, quantize.Override{Pattern: pattern, Type: typ})
	}
	return o, nil
}

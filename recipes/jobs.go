package recipes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/verify/evidence"
)

// Share is one of the equal jobs that a release is divided into: number I, from 1, of N. The zero value is the whole.
type Share struct{ I, N int }

// ParseShare reads I/N.
func ParseShare(s string) (Share, error) {
	a, b, ok := strings.Cut(s, "/")
	i, err := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if !ok || errors.Join(err, err2) != nil || i < 1 || n < i || n > 1<<16 {
		return Share{}, fmt.Errorf("%q: want I/N with 1 <= I <= N", s)
	}
	return Share{i, n}, nil
}

// unit is one file of the release: a scheme, or a shard of one.
type unit struct {
	planned
	shard gguf.Output
	bytes int64
}

// units are all files of the recipe, in its order.
func (j *job) units() ([]unit, error) {
	var out []unit
	for _, w := range j.r.Wanted() {
		p, err := j.output(w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Label, err)
		}
		files, err := p.units()
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	return out, nil
}

// units are the output's files.
func (p planned) units() ([]unit, error) {
	shards, err := p.out.Shards()
	if err != nil {
		return nil, err
	}
	var out []unit
	for _, s := range shards {
		plan, err := gguf.Layout(s.Source.Metadata(), s.Source.Tensors())
		if err != nil {
			return nil, err
		}
		out = append(out, unit{p, s, plan.Size})
	}
	return out, nil
}

// deal gives every file to one of n jobs, the largest first to the job that has least: each job finds the same answer.
func deal(units []unit, n int) [][]unit {
	order := slices.Clone(units)
	slices.SortStableFunc(order, func(a, b unit) int { return cmp.Compare(b.bytes, a.bytes) })
	out, load := make([][]unit, n), make([]int64, n)
	for _, u := range order {
		least := 0
		for i := range load {
			if load[i] < load[least] {
				least = i
			}
		}
		out[least] = append(out[least], u)
		load[least] += u.bytes
	}
	return out
}

// jobRecord is what a job leaves for the one that collects.
type jobRecord struct {
	Key    string       `json:"key"` // of the report: jobs of other recipes or inputs do not mix
	Job    int          `json:"job"`
	Jobs   int          `json:"jobs"`
	Shares [][]string   `json:"shares"` // the files of each job: one record tells what all jobs are to write
	Files  []FileRecord `json:"files"`  // that this job has written
	Took   float64      `json:"write_s"`
}

func (j *job) recordName(i, n int) string {
	return filepath.Join(j.o.Out, fmt.Sprintf("%s.job-%d-of-%d.json", j.name, i, n))
}

// share writes this job's files. Those of an earlier, equal run stay.
func (j *job) share(ctx context.Context) error {
	all, err := j.units()
	if err != nil {
		return err
	}
	inputs, err := j.inputLines()
	if err != nil {
		return err
	}
	s := j.o.Job
	shares := deal(all, s.N)
	rec := jobRecord{Key: j.report.Key, Job: s.I, Jobs: s.N, Files: []FileRecord{}}
	if rec.Shares, err = j.paths(shares); err != nil {
		return err
	}
	old := j.readRecord(s.I, s.N)
	var todo []unit
	for _, u := range shares[s.I-1] {
		f, listed := old.find(j.o.Out, u.shard.Name)
		if listed && !j.o.Force && (&Output{Files: []FileRecord{f}}).intact(j.o.Out) {
			rec.Files = append(rec.Files, f)
			continue
		}
		u.shard.Options.Force = j.o.Force || listed // a damaged file of ours is replaced, a foreign one refused
		todo = append(todo, u)
	}
	start := time.Now()
	if len(todo) > 0 || old.Key == "" { // status tells a job that has begun from one that has not
		if err := evidence.WriteJSON(j.recordName(s.I, s.N), rec); err != nil {
			return err
		}
	}
	for _, u := range todo {
		if err := j.writeUnit(ctx, u, inputs, &rec, start); err != nil {
			return err
		}
	}
	j.report.stage("quantize", fmt.Sprintf("job %d of %d: %d of %d files, %d bytes written by this run", s.I, s.N, len(rec.Files), len(all), j.report.Written))
	return nil
}

// writeUnit writes one file and its line in the job's record.
func (j *job) writeUnit(ctx context.Context, u unit, inputs []string, rec *jobRecord, start time.Time) error {
	progress, done := j.o.Observer.Track("quantize "+filepath.Base(u.shard.Name), true)
	defer done()
	run := gguf.Job{Outputs: []gguf.Output{u.shard}, Inputs: inputs, Note: j.o.Observer.Note,
		WriteOptions: gguf.WriteOptions{Workers: j.o.Threads, Memory: j.o.Memory, Progress: progress}}
	run.Finished = func(files [][]gguf.Written) error {
		f, err := recordFile(j.o.Out, files[0][0])
		if err != nil {
			return err
		}
		rec.Files, rec.Took = append(rec.Files, f), time.Since(start).Seconds()
		j.report.Written += f.Bytes
		return evidence.WriteJSON(j.recordName(rec.Job, rec.Jobs), rec)
	}
	_, err := run.Run(ctx)
	return err
}

// paths are the files of each job, below the output directory.
func (j *job) paths(shares [][]unit) ([][]string, error) {
	out := make([][]string, len(shares))
	for i, share := range shares {
		out[i] = []string{}
		for _, u := range share {
			rel, err := filepath.Rel(j.o.Out, u.shard.Name)
			if err != nil {
				return nil, err
			}
			out[i] = append(out[i], filepath.ToSlash(rel))
		}
	}
	return out, nil
}

// readRecord is a job's record; an empty one where there is none of this release.
func (j *job) readRecord(i, n int) *jobRecord {
	var rec jobRecord
	data, err := os.ReadFile(j.recordName(i, n))
	if err != nil || json.Unmarshal(data, &rec) != nil || rec.Key != j.report.Key {
		return &jobRecord{}
	}
	return &rec
}

// find is the record of a file.
func (r *jobRecord) find(dir, name string) (FileRecord, bool) {
	for _, f := range r.Files {
		if filepath.Join(dir, filepath.FromSlash(f.Path)) == filepath.Clean(name) {
			return f, true
		}
	}
	return FileRecord{}, false
}

// CollectError says what jobs have not delivered.
type CollectError struct {
	Jobs    int
	Missing []string
}

func (e *CollectError) Error() string {
	return fmt.Sprintf("recipes: %d files are missing or not what a job of this release wrote: %s", len(e.Missing), strings.Join(e.Missing, ", "))
}

// Hint tells how to get them.
func (e *CollectError) Hint() string {
	return "run the jobs again that did not end; the ones that did write nothing"
}

// collect checks every file of every job, hashes them and takes them into the report, as if this run had written them.
func (j *job) collect(ctx context.Context) error {
	all, err := j.units()
	if err != nil {
		return err
	}
	records, err := j.records()
	if err != nil {
		return err
	}
	missing := &CollectError{}
	written := map[string][]gguf.Written{}
	progress, done := j.o.Observer.Track("check the jobs' files", true)
	defer done()
	var total, read int64
	for _, u := range all {
		total += u.bytes
	}
	for _, u := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(j.o.Out, u.shard.Name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		sum, err := hashFile(os.DirFS(j.o.Out), rel)
		rec, ok := records[rel]
		if err != nil || !ok || rec.Bytes != u.bytes || rec.SHA256 != sum {
			missing.Missing = append(missing.Missing, rel)
			continue
		}
		written[u.Label] = append(written[u.Label], gguf.Written{Path: u.shard.Name, Bytes: u.bytes, SHA256: sum})
		read += u.bytes
		progress(read, total)
	}
	if len(missing.Missing) > 0 {
		return missing
	}
	return j.join(all, written)
}

// join puts what the jobs wrote into the report. Nothing is written but that.
func (j *job) join(all []unit, written map[string][]gguf.Written) error {
	joined := 0
	for _, u := range all {
		if old := j.report.output(u.Label); old != nil && old.intact(j.o.Out) {
			continue
		}
		if err := j.record(u.planned, written[u.Label], 0); err != nil {
			return err
		}
		joined++
		j.touch()
	}
	j.report.Written, j.report.acted = 0, true
	j.report.stage("collect", fmt.Sprintf("%d files of all jobs checked, %d outputs joined, %d joined by an earlier run", len(all), joined, len(written)-joined))
	if !j.changed {
		return nil
	}
	return j.save()
}

// records are the files of all jobs of this release, by their paths.
func (j *job) records() (map[string]FileRecord, error) {
	names, err := inDir(j.o.Out, j.name+".job-*-of-*.json")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("recipes: %s: no job has left its record here: %w", j.name, fs.ErrNotExist)
	}
	out := map[string]FileRecord{}
	for _, n := range names {
		var rec jobRecord
		data, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &rec); err != nil {
			return nil, fmt.Errorf("recipes: %s: %w", filepath.Base(n), err)
		}
		if rec.Key != j.report.Key {
			return nil, fmt.Errorf("recipes: %s is of another recipe, checkpoint or option", filepath.Base(n))
		}
		for _, f := range rec.Files {
			out[f.Path] = f
		}
	}
	return out, nil
}

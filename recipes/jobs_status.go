package recipes

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Look says what of the release in a folder is done, stale or missing, whether a run has ended there, was interrupted,
// or jobs (hf2gguf --job) have written their shares.
func Look(dir string) (name string, parts []Part, err error) {
	l, err := OpenUnfinished(dir)
	if err == nil {
		parts, err = l.Status()
		return l.Report.Name, parts, err
	}
	var none *noReleaseError
	if !errors.As(err, &none) || none.n > 0 {
		return "", nil, err
	}
	jobs, jobErr := readJobs(dir)
	if jobErr != nil {
		return "", nil, jobErr
	}
	if len(jobs) == 0 {
		return "", nil, err
	}
	return jobs[0].release, jobParts(dir, jobs), nil
}

// jobFile is a job's record with where and when it was written.
type jobFile struct {
	jobRecord
	file, release string
	time          time.Time
}

// readJobs are the records in a folder, the latest first.
func readJobs(dir string) ([]jobFile, error) {
	names, err := inDir(dir, "*.job-*-of-*.json")
	if err != nil {
		return nil, err
	}
	var out []jobFile
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(n)
		if err != nil {
			return nil, err
		}
		f := jobFile{file: filepath.Base(n), time: info.ModTime()}
		f.release = f.file[:strings.LastIndex(f.file, ".job-")]
		if err := json.Unmarshal(data, &f.jobRecord); err != nil {
			return nil, fmt.Errorf("recipes: %s: %w", f.file, err)
		}
		if f.Job < 1 || f.Jobs < f.Job || len(f.Shares) != f.Jobs {
			return nil, fmt.Errorf("recipes: %s: job %d of %d with the files of %d jobs", f.file, f.Job, f.Jobs, len(f.Shares))
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b jobFile) int { return cmp.Or(b.time.Compare(a.time), strings.Compare(a.file, b.file)) })
	return out, nil
}

// jobParts are the files that jobs are to write, by what their records say. The latest record tells how many jobs there
// are and what each has to do; those of other recipes, checkpoints or numbers of jobs are stale.
func jobParts(dir string, jobs []jobFile) []Part {
	latest := jobs[0]
	mine := map[int]*jobFile{}
	var out []Part
	for i := range jobs {
		f := &jobs[i]
		if f.Key == latest.Key && f.Jobs == latest.Jobs && f.release == latest.release {
			mine[f.Job] = f
			continue
		}
		out = append(out, Part{"job", f.file, Stale, "it is of another recipe, checkpoint, option or number of jobs than " + latest.file})
	}
	for i, share := range latest.Shares {
		of := fmt.Sprintf("job %d of %d", i+1, latest.Jobs)
		f := mine[i+1]
		for _, path := range share {
			out = append(out, jobPart(dir, path, of, f))
		}
	}
	return append(out, Part{"collect", latest.release, Missing, "once all files are done, hf2gguf --collect checks and joins them, and goes on to verify"})
}

// jobPart is one file of a job; f is nil where the job has left no record.
func jobPart(dir, path, of string, f *jobFile) Part {
	p := Part{Stage: "quantize", Name: path, State: Missing, Why: of + " has not begun"}
	if f == nil {
		return p
	}
	p.Why = of + " has not written it to its end"
	for _, rec := range f.Files {
		if rec.Path != path {
			continue
		}
		switch o := (&Output{Files: []FileRecord{rec}}); {
		case !exists(filepath.Join(dir, filepath.FromSlash(path))):
			p.Why = of + " wrote it; it is not there"
		case !o.intact(dir):
			p.State, p.Why = Stale, "it is not what "+of+" wrote"
		default:
			p.State, p.Why = Done, of
		}
	}
	return p
}

package gguf

import (
	"encoding/hex"
	"fmt"
	"hash"
	"path/filepath"
	"time"
)

// output is an Output under way. One goroutine writes (w), another hashes what is written (h).
type output struct {
	Output
	run      *run
	tensors  []TensorInfo
	parts    []*part
	w, h     int      // indices of the parts being written and hashed; -1 before the first
	at       position // all rows before it are written and hashed
	bytes    int64    // written and hashed
	complete bool     // every part is written and synced
	away     bool     // it had its name and was moved away
	restored bool     // an earlier run has done some of it
	begun    bool     // this run has written to it

	journal *journal // as it is on the disk, or nil
	saving  chan error
	saved   int64 // bytes at the last renewal
	savedAt time.Time
}

// part is one file to write.
type part struct {
	path    string
	src     Source
	first   int // index of its first tensor in the output
	plan    Plan
	header  []byte    // written, not yet hashed
	hash    hash.Hash // of its first hashed bytes
	hashed  int64
	sum     []byte // SHA-256 of the whole
	tensor  hash.Hash
	sums    [][]byte // SHA-256 of each tensor as it was read from src, when it is to be verified
	file    partFile
	mine    bool // temp is this run's to remove
	created bool // by this run
	old     bool // a file of that name existed before
	kept    bool // which is kept as backup until all parts have their names
	done    bool // path holds the new file
}

// temp is the name the file has while it is written.
func (p *part) temp() string { return p.path + ".part" }

// backup is a second name of the file that p replaces.
func (p *part) backup() string { return p.path + ".replaced" }

func (o *output) size() int64 {
	var n int64
	for _, p := range o.parts {
		n += p.plan.Size
	}
	return n
}

func (o *output) files() []Written {
	var out []Written
	for _, p := range o.parts {
		out = append(out, Written{p.path, p.plan.Size, hex.EncodeToString(p.sum)})
	}
	return out
}

// lacks is the number of bytes that the disk still has to take: parts that are there are written over.
func (o *output) lacks() int64 {
	var n int64
	for _, p := range o.parts {
		if !p.done {
			n += p.plan.Size - min(o.run.disk.size(p.temp()), p.plan.Size)
		}
	}
	return n
}

// lock opens the first part for this process alone.
func (o *output) lock() error { return o.open(o.parts[0]) }

// open opens a part for this process alone.
func (o *output) open(p *part) error {
	if p.file != nil {
		return nil
	}
	f, created, err := o.run.disk.open(p.temp())
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	p.file, p.mine, p.created = f, true, created
	return nil
}

// unlock takes back what lock did, but keeps the lock itself until close.
func (o *output) unlock() {
	if p := o.parts[0]; p.created {
		o.run.disk.remove(p.temp())
		p.created, p.mine = false, false
	}
}

// checkNames refuses existing files that are not o's own.
func (o *output) checkNames() error {
	for _, p := range o.parts {
		if p.done || o.away {
			continue
		}
		exists, err := o.run.disk.exists(p.path)
		if err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		if exists && !o.Options.Force {
			return &ExistsError{p.path}
		}
	}
	return nil
}

// named reports whether all parts have, or had, their names.
func (o *output) named() bool {
	for _, p := range o.parts {
		if !p.done {
			return o.away
		}
	}
	return true
}

// discard removes what was written.
func (o *output) discard() {
	_ = o.wait() // its error is not the one that counts
	for _, p := range o.parts {
		if p.mine && !p.done {
			o.run.disk.remove(p.temp())
		}
	}
	if o.journal != nil {
		o.run.disk.remove(o.journalPath())
	}
}

func (o *output) close() {
	for _, p := range o.parts {
		if p.file != nil {
			p.file.Close()
			p.file = nil
		}
	}
}

func (o *output) journalPath() string { return filepath.Clean(o.Name) + ".part.journal" }

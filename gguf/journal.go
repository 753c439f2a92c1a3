package gguf

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// journalFormat changes whenever an equal job may write other bytes than before, or a journal reads otherwise.
const journalFormat = 1

// A journal is renewed after so many bytes of its output or so much time, whichever comes first. While one is being
// written the output may get as far ahead again.
const (
	defaultJournalEvery = 128 << 20
	journalInterval     = 30 * time.Second
)

// journal says how far an output is.
type journal struct {
	Format   int            `json:"format"`
	Inputs   []string       `json:"inputs"`
	Options  []string       `json:"options"`
	Header   string         `json:"header"`   // SHA-256 of all parts' headers
	Tensor   int            `json:"tensor"`   // the first that is not there as a whole
	Row      int            `json:"row"`      // of it that is not there
	Complete bool           `json:"complete"` // all parts are written and synced
	Parts    []journalShard `json:"files"`    // those begun
	// Finished has the files of all of the job's outputs, once the job is finished and the journals are about to go:
	// it is in the first output's, which goes last.
	Finished [][]journalShard `json:"finished,omitempty"`
}

// journalShard is one part, the last of which may be incomplete.
type journalShard struct {
	File   string `json:"file"`             // base name it is to get
	Bytes  int64  `json:"bytes"`            // safe on the disk
	SHA256 string `json:"sha256,omitempty"` // of the whole
	State  []byte `json:"state,omitempty"`  // of SHA-256 over these bytes
}

// newJournal is the journal of an output of which nothing is written.
func newJournal(o *output, inputs []string) (*journal, error) {
	h := sha256.New()
	for _, p := range o.parts {
		_, header, err := layout(p.src.Metadata(), p.src.Tensors())
		if err != nil {
			return nil, err
		}
		h.Write(header)
	}
	return &journal{Format: journalFormat, Inputs: inputs, Options: o.Key, Header: hex.EncodeToString(h.Sum(nil))}, nil
}

// differs says how the output that an earlier run's journal is about is another one than now; empty if it is the same.
func (j *journal) differs(old *journal) string {
	switch {
	case old.Format != j.Format:
		return "was begun by another version of moeconv"
	case !slices.Equal(old.Inputs, j.Inputs):
		return "was begun from another input (" + firstLine(old.Inputs, j.Inputs) + ")"
	case !slices.Equal(old.Options, j.Options):
		return "was begun with other options (" + firstLine(old.Options, j.Options) + ")"
	case old.Header != j.Header:
		return "was begun with other metadata or types"
	}
	return ""
}

// firstLine shows the first line that differs.
func firstLine(old, now []string) string {
	at := func(lines []string, i int) string {
		if i < len(lines) {
			return lines[i]
		}
		return "nothing"
	}
	i := 0
	for i < len(old) && i < len(now) && old[i] == now[i] {
		i++
	}
	return fmt.Sprintf("then %s, now %s", at(old, i), at(now, i))
}

// state fills in how far o is. It is called by the goroutine that commits, or when there is none.
func (o *output) state() (*journal, error) {
	j := *o.journal
	j.Tensor, j.Row, j.Complete, j.Parts = o.at.tensor, o.at.row, o.complete, nil
	for i, p := range o.parts {
		if i > o.h {
			break
		}
		s := journalShard{File: filepath.Base(p.path), Bytes: p.hashed}
		if p.sum != nil {
			s.SHA256 = hex.EncodeToString(p.sum)
		} else {
			var err error
			if s.State, err = p.hash.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
				return nil, fmt.Errorf("gguf: journal: %w", err)
			}
		}
		j.Parts = append(j.Parts, s)
	}
	return &j, nil
}

// save replaces the journal; what it says must be safe already.
func (o *output) save() error {
	j, err := o.state()
	if err != nil {
		return err
	}
	return o.saveState(j)
}

func (o *output) saveState(j *journal) error {
	data, err := json.MarshalIndent(j, "", " ")
	if err == nil {
		err = o.run.disk.replace(o.journalPath(), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("gguf: journal: %w", err)
	}
	return nil
}

// journalDue renews the journal when enough has happened since the last time.
func (o *output) journalDue() error {
	every := o.run.JournalEvery
	if every <= 0 {
		every = defaultJournalEvery
	}
	if o.journal == nil || o.bytes-o.saved < every && time.Since(o.savedAt) < journalInterval {
		return nil
	}
	return o.renew()
}

// renew makes what is committed safe and then says so in the journal, beside the work: it waits for the last renewal only.
func (o *output) renew() error {
	if err := o.wait(); err != nil || o.journal == nil {
		return err
	}
	j, err := o.state()
	if err != nil {
		return err
	}
	var file partFile
	if o.h >= 0 {
		file = o.parts[o.h].file // those before it are synced
	}
	o.saved, o.savedAt = o.bytes, time.Now()
	saving := make(chan error, 1)
	o.saving = saving
	go func() {
		if file != nil {
			if err := file.Sync(); err != nil {
				saving <- fmt.Errorf("gguf: %w", err)
				return
			}
		}
		saving <- o.saveState(j)
	}()
	return nil
}

// wait waits for the renewal under way.
func (o *output) wait() error {
	if o.saving == nil {
		return nil
	}
	err := <-o.saving
	o.saving = nil
	return err
}

// keep leaves o so that an equal job can go on: what is not committed goes, which on a full disk also makes room
// for the journal.
func (o *output) keep() error {
	waited := o.wait()
	if o.complete {
		return waited
	}
	for i, p := range o.parts {
		if i > max(o.h, 0) && p.mine {
			o.run.disk.remove(p.temp())
		}
	}
	if o.h >= 0 {
		p := o.parts[o.h]
		if p.file == nil {
			return waited
		}
		if err := p.file.start(p.hashed); err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		if err := p.file.Sync(); err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
	}
	return o.save() // after a renewal that failed, too: the room may be there now
}

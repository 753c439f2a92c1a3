package gguf

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"time"
)

// restore takes over what an earlier run has done, if it was to write the same bytes.
func (o *output) restore() error {
	data, err := o.run.disk.read(o.journalPath())
	if err != nil || data == nil {
		return err
	}
	return o.takeOver(data)
}

// takeOver is restore, given the journal.
func (o *output) takeOver(data []byte) error {
	old := &journal{}
	if err := json.Unmarshal(data, old); err != nil {
		return nil // journals are replaced as a whole: this is none of ours
	}
	if what := o.journal.differs(old); what != "" {
		if !o.Options.Force {
			return &ChangedError{Path: o.Name, What: what}
		}
		o.drop(old)
		return nil
	}
	if len(old.Parts) > len(o.parts) {
		return nil
	}
	if old.Complete {
		o.restoreComplete(old.Parts)
		if old.Finished != nil {
			o.run.finished = old.Finished
		}
		return nil
	}
	if len(old.Parts) > 0 && o.restoreParts(old) {
		o.run.note("%s: going on at byte %d of %d", o.Name, o.bytes, o.size())
	}
	return nil
}

// drop removes the parts of an output that was to be another one.
func (o *output) drop(old *journal) {
	for _, s := range old.Parts {
		if name := filepath.Join(filepath.Dir(o.Name), filepath.Base(s.File)); name != o.parts[0].path {
			o.run.disk.remove(name + ".part")
		}
	}
}

// restoreParts takes over parts; false if they are not as the journal says.
func (o *output) restoreParts(old *journal) bool {
	last := len(old.Parts) - 1
	ok := o.reached(old)
	for i, s := range old.Parts {
		p := o.parts[i]
		ok = ok && s.File == filepath.Base(p.path) && o.run.disk.size(p.temp()) >= s.Bytes && (i == last || s.SHA256 != "") && p.restore(s)
	}
	if !ok {
		o.fresh()
		o.run.note("%s: the parts are not as their journal says: starting afresh", o.Name)
		return false
	}
	for i, s := range old.Parts {
		o.parts[i].mine = true
		o.bytes += s.Bytes
	}
	o.w, o.h, o.at = last, last, position{old.Tensor, old.Row}
	o.saved, o.savedAt, o.restored = o.bytes, time.Now(), true
	return true
}

// restore takes over the hash of what a part has.
func (p *part) restore(s journalShard) bool {
	p.hash, p.tensor, p.hashed = sha256.New(), sha256.New(), s.Bytes
	if s.SHA256 == "" {
		return p.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.State) == nil
	}
	var err error
	p.sum, err = hex.DecodeString(s.SHA256)
	return err == nil && len(p.sum) == sha256.Size && s.Bytes == p.plan.Size
}

// reached reports whether the last part of a journal ends where its position is.
func (o *output) reached(old *journal) bool {
	s, p := old.Parts[len(old.Parts)-1], o.parts[len(old.Parts)-1]
	if s.SHA256 != "" { // the last of all
		return len(old.Parts) == len(o.parts) && (len(o.tensors) == 0 || old.Tensor == len(o.tensors)-1 && int64(old.Row) == o.tensors[old.Tensor].Shape.Rows())
	}
	i := old.Tensor - p.first
	if i < 0 || i >= len(p.plan.Offsets) {
		return false
	}
	t := o.tensors[old.Tensor]
	if old.Row < 0 || int64(old.Row) > t.Shape.Rows() {
		return false
	}
	at := p.plan.DataOffset + p.plan.Offsets[i] + int64(old.Row)*t.RowBytes()
	if int64(old.Row) == t.Shape.Rows() {
		at += pad(t.Bytes(), p.plan.Alignment) - t.Bytes()
	}
	return s.Bytes == at
}

// restoreComplete takes over an output that was complete: its parts may have their names, all or some, or may have
// been moved away from a disk that has no room for them.
func (o *output) restoreComplete(old []journalShard) {
	missing := 0
	for i, p := range o.parts {
		if i >= len(old) {
			o.fresh()
			return
		}
		sum, err := hex.DecodeString(old[i].SHA256)
		if err != nil || len(sum) != sha256.Size {
			o.fresh()
			return
		}
		p.sum, p.hashed = sum, p.plan.Size
		switch {
		case o.run.disk.size(p.temp()) == p.plan.Size:
			p.mine = true
			p.kept, _ = o.run.disk.exists(p.backup()) // of the file it is about to replace
		case o.run.disk.size(p.path) == p.plan.Size:
			p.done = true
			o.run.disk.remove(p.backup()) // of the file it replaced
		default:
			missing++
		}
	}
	o.away = missing == len(o.parts) && o.run.Disk > 0
	if missing > 0 && !o.away {
		o.fresh()
		return
	}
	o.complete, o.restored, o.bytes = true, true, o.size()
	o.w, o.h = len(o.parts)-1, len(o.parts)-1
	if first := o.parts[0]; first.done || o.away { // all that can be there is what lock, or an earlier run's, has made
		o.run.disk.remove(first.temp())
		first.file.Close()
		first.file, first.created, first.mine = nil, false, false
	}
}

// fresh forgets what an earlier run has done.
func (o *output) fresh() {
	for _, p := range o.parts {
		p.hash, p.hashed, p.sum, p.done = nil, 0, nil, false
	}
	o.w, o.h, o.at, o.bytes, o.saved, o.complete, o.away, o.restored = -1, -1, position{}, 0, 0, false, false, false
}

package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// top is answers as RecordBaseline writes them. Of each position it has the most likely tokens, the probability of all
// others together (the tail), and some of the tail drawn by their probabilities, from which the tail's divergence is
// estimated without bias. With r = q/p, sum(p * log(p/q)) over a set of tokens is sum(p * (r-1-log r)) - sum(q) + sum(p);
// summed over all tokens the last two terms cancel, and no other term can be negative.
type top struct {
	*topFile
	data []byte
}

// topShape is what a position has: Top most likely tokens and Drawn ones of the tail.
type topShape struct{ Top, Drawn uint32 }

// The most that a position has: beyond, figures gain nothing.
const maxTop, maxDrawn = 32, 8

// shapeFor keeps a file below a fiftieth of what llama-perplexity writes, tokens included, while a position has six entries.
func shapeFor(vocab int) topShape {
	size := 2 + idBytes(vocab)
	n := (2*wideRow(vocab)*19/1000 - 4) / size
	n = min(max(n, 6), vocab)
	drawn := min(n/3, maxDrawn)
	return topShape{uint32(min(n-drawn, maxTop)), uint32(drawn)}
}

func idBytes(vocab int) int {
	if vocab <= 1<<16 {
		return 2
	}
	return 3
}

// logSteps is the resolution of log-probabilities: down to -32 nats in 16 bits.
const logSteps = 2048

func packLog(v float64) uint16 { return uint16(math.Round(min(65535, max(0, -v*logSteps)))) }

func unpackLog(v uint16) float64 { return -float64(v) / logSteps }

const topMagic, topVersion = "moeconvB", 1

// topHeader is what a file begins with. Tokens follow, a CRC-32 of all that, and a record a chunk that ends in a CRC-32 of its own.
type topHeader struct {
	Magic   [8]byte
	Version uint32
	Context uint32
	Vocab   uint32
	Chunks  uint32
	topShape
	Source [sha256.Size]byte // Fingerprint of the base
}

// topFile is a file that RecordBaseline wrote, or is writing.
type topFile struct {
	file io.ReaderAt
	text *text
	head []byte // header, tokens, CRC
	topHeader
}

func newTopFile(t *text, vocab int, source [sha256.Size]byte) *topFile {
	f := &topFile{text: t, topHeader: topHeader{Version: topVersion, Context: uint32(t.context), Vocab: uint32(vocab),
		Chunks: uint32(t.chunks), topShape: shapeFor(vocab), Source: source}}
	copy(f.Magic[:], topMagic)
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, f.topHeader)
	f.head = b.Bytes()
	for _, id := range t.tokens[:t.chunks*t.context] {
		f.head = f.putID(f.head, id)
	}
	f.head = binary.LittleEndian.AppendUint32(f.head, crc32.ChecksumIEEE(f.head))
	return f
}

func (f *topFile) putID(dst []byte, id int32) []byte {
	dst = append(dst, byte(id), byte(id>>8))
	if idBytes(int(f.Vocab)) == 3 {
		dst = append(dst, byte(id>>16))
	}
	return dst
}

func (f *topFile) id(src []byte) int32 {
	id := int32(src[0]) | int32(src[1])<<8
	if idBytes(int(f.Vocab)) == 3 {
		id |= int32(src[2]) << 16
	}
	return id
}

// entry and position are sizes in bytes: id and log-probability; entries, and log-probabilities of the tail and of the next token.
func (f *topFile) entry() int    { return idBytes(int(f.Vocab)) + 2 }
func (f *topFile) position() int { return int(f.Top+f.Drawn)*f.entry() + 4 }

// record is the size of a chunk with its checksum.
func (f *topFile) record() int { return f.text.scored()*f.position() + 4 }

// openTop reads the head of a whole file of size bytes.
func openTop(file io.ReaderAt, size int64) (*topFile, error) {
	f := &topFile{file: file}
	in := io.NewSectionReader(file, 0, size)
	if err := binary.Read(in, binary.LittleEndian, &f.topHeader); err != nil {
		return nil, errors.New("the file ends in its header")
	}
	if f.Version != topVersion {
		return nil, fmt.Errorf("version %d of recorded bases; this program knows %d", f.Version, topVersion)
	}
	if f.Context < 4 || f.Context > maxContext || f.Vocab < 1 || f.Vocab > maxVocab || f.Chunks < 1 || f.Chunks > 1<<31-1 ||
		f.Top < 1 || f.Top > maxTop || f.Drawn > maxDrawn {
		return nil, fmt.Errorf("chunks of %d tokens, a vocabulary of %d, %d chunks: no such base", f.Context, f.Vocab, f.Chunks)
	}
	f.text = &text{context: int(f.Context), chunks: int(f.Chunks)}
	n := int64(idBytes(int(f.Vocab)))
	ids, header := int64(f.Chunks)*int64(f.Context), int64(binary.Size(f.topHeader))
	body := size - header - ids*n - 4
	if have := max(0, body) / int64(f.record()); body < 0 || have < int64(f.Chunks) {
		return nil, &truncatedBaseError{have, int64(f.Chunks)}
	} else if body != int64(f.Chunks)*int64(f.record()) {
		return nil, errors.New("bytes follow the last chunk")
	}
	f.head = make([]byte, size-body)
	if _, err := file.ReadAt(f.head, 0); err != nil {
		return nil, err
	}
	if _, ok := checked(f.head, 0); !ok {
		return nil, errors.New("the header's checksum is wrong: the file is damaged")
	}
	f.text.tokens = make([]int32, ids)
	for i := range f.text.tokens {
		f.text.tokens[i] = f.id(f.head[header+int64(i)*n:])
	}
	return f, f.text.inRange(int(f.Vocab))
}

// checked is data without the checksum at its end, which starts from that of a number.
func checked(data []byte, n uint32) ([]byte, bool) {
	body := data[:len(data)-4]
	return body, binary.LittleEndian.Uint32(data[len(body):]) == checksum(body, n)
}

// checksum is that of a record, so that it is valid in its place alone. The header's number is 0.
func checksum(body []byte, n uint32) uint32 {
	return crc32.Update(n, crc32.IEEETable, body)
}

func (f *topFile) chunk(i int) (answers, error) {
	data := make([]byte, f.record())
	if _, err := f.file.ReadAt(data, int64(len(f.head))+int64(i)*int64(len(data))); err != nil {
		return nil, err
	}
	body, ok := checked(data, uint32(i))
	if !ok {
		return nil, errors.New("its checksum is wrong: the file is damaged")
	}
	a := &top{f, body}
	for at := 0; at < len(body); at += f.position() {
		for e := range int(f.Top + f.Drawn) {
			if id := f.id(body[at+e*f.entry():]); id < 0 || id >= int32(f.Vocab) {
				return nil, fmt.Errorf("it has token %d, the vocabulary %d", id, f.Vocab)
			}
		}
	}
	return a, nil
}

// Close closes the file.
func (f *topFile) Close() error {
	if c, ok := f.file.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// put appends a position's answers to dst; u of 0 to 1 says where in the tail's stretches tokens are drawn.
func (f *topFile) put(dst []byte, logits []float32, next int32, u float64) []byte {
	largest, sum := softmaxSum(logits)
	all := float64(largest) + math.Log(sum)
	best := mostLikely(logits, int(f.Top))
	rest := 1.0
	chosen := map[int32]bool{}
	add := func(id int32) {
		dst = binary.LittleEndian.AppendUint16(f.putID(dst, id), packLog(float64(logits[id])-all))
	}
	for _, id := range best {
		add(id)
		chosen[id] = true
		rest -= math.Exp(float64(logits[id]) - all)
	}
	rest = max(rest, 0)
	drawn, passed, last := 0, 0.0, best[0]
	for id := range int32(len(logits)) {
		if drawn == int(f.Drawn) {
			break
		}
		if chosen[id] {
			continue
		}
		passed += math.Exp(float64(logits[id]) - all)
		for last = id; drawn < int(f.Drawn) && passed > (float64(drawn)+u)/float64(f.Drawn)*rest; drawn++ {
			add(id)
		}
	}
	for ; drawn < int(f.Drawn); drawn++ { // of rounding
		add(last)
	}
	dst = binary.LittleEndian.AppendUint16(dst, packLog(math.Log(rest)))
	return binary.LittleEndian.AppendUint16(dst, packLog(-negLogProb(logits, next)))
}

// mostLikely is the n tokens of the largest logits, largest first; of equals the first comes first.
func mostLikely(logits []float32, n int) []int32 {
	best := make([]int32, 0, n+1)
	for id, l := range logits {
		if len(best) == n && l <= logits[best[n-1]] {
			continue
		}
		at := len(best)
		for at > 0 && l > logits[best[at-1]] {
			at--
		}
		best = append(best[:at], append([]int32{int32(id)}, best[at:]...)...)
		best = best[:min(len(best), n)]
	}
	return best
}

func (a *top) base(j int, _ int32) float64 {
	at := (j + 1) * a.position()
	return -unpackLog(binary.LittleEndian.Uint16(a.data[at-2:]))
}

func (a *top) compare(j int, logits []float32, next int32) position {
	largest, sum := softmaxSum(logits)
	all := float64(largest) + math.Log(sum)
	entries := a.data[j*a.position():][:a.position()]
	tail := unpackLog(binary.LittleEndian.Uint16(entries[len(entries)-4:]))
	first := a.id(entries)
	each := func(from, n int, fn func(p, q float64)) {
		for e := range n {
			entry := entries[(from+e)*a.entry():]
			fn(unpackLog(binary.LittleEndian.Uint16(entry[a.entry()-2:])), float64(logits[a.id(entry)])-all)
		}
	}
	kld, rest := 0.0, 1.0
	each(0, int(a.Top), func(p, q float64) {
		kld += math.Exp(p) * excess(q-p)
		rest -= math.Exp(q)
	})
	if tail > -31 && a.Drawn > 0 {
		rest = math.Log(max(rest, 1e-12))
		share := excess(rest - tail)
		each(int(a.Top), int(a.Drawn), func(p, q float64) { share += excess((q-rest)-(p-tail)) / float64(a.Drawn) })
		kld += math.Exp(tail) * share
	}
	at := 0
	for i, l := range logits {
		if l > logits[at] {
			at = i
		}
	}
	return newPosition(kld, all-float64(logits[next]), a.base(j, next), int32(at) == first)
}

// excess is r-1-log(r) of log(r).
func excess(log float64) float64 { return math.Expm1(log) - log }

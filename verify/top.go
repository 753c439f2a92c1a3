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

// top is answers as RecordBaseline writes them. Tokens above a probability, one for the whole chunk, are recorded for certain;
// those below, the tail of a position, are drawn by their probabilities, and each that is drawn stands for as much of the
// tail as that probability. With r = q/p, sum(p * log(p/q)) over a set of tokens is sum(p * (r-1-log r)) - sum(q) + sum(p);
// summed over all tokens the last two terms cancel, and no other term can be negative. So the divergence is that sum over the
// certain tokens, that of the tail as a whole, and that within the tail, estimated without bias.
type top struct {
	*topFile
	least     float64 // log of the probability above which tokens are certain
	positions []topPosition
}

type topPosition struct {
	first      int32 // the most likely token
	tail, next float64
	entries    []topEntry
}

// topEntry is a token, certain where its log-probability is not below the chunk's least or it is the first.
type topEntry struct {
	id int32
	p  float64
}

// levels is the resolution of log-probabilities while a chunk is encoded, down to -32 nats in 16 bits; coarse is how many of
// them make the step in which tokens are recorded.
const levels, coarse = 2048, 8

// coarseBits are those of a recorded log-probability that stands alone, fineBits those of the next token's and the tail's.
const coarseBits, fineBits = 13, 16

func level(v float64) uint16 { return uint16(math.Round(min(65535, max(0, -v*levels)))) }

func ofLevel(v int) float64 { return -float64(v) / levels }

func ofCoarse(v int) float64 { return ofLevel(v * coarse) }

// rounding is what rounding to coarse steps adds to a divergence, of tokens that have all the probability: half of the
// squared error's mean.
const rounding = 1.0 / 24 * (coarse * coarse) / (levels * levels)

// A position has a fiftieth of what llama-perplexity writes at most, its token included, but not less than leastPosition bytes,
// and not more than mostPosition: beyond, figures gain nothing.
const leastPosition, mostPosition = 24, 192

// bodyFor is the bytes of a chunk's answers.
func bodyFor(vocab, scored int) int {
	n := 2*wideRow(vocab)*196/10000 - 2*idBytes(vocab)
	return scored * min(max(n, leastPosition), mostPosition)
}

func idBytes(vocab int) int {
	if vocab <= 1<<16 {
		return 2
	}
	return 3
}

const topMagic, topVersion = "moeconvB", 2

// topHeader is what a file begins with. Tokens follow, a CRC-32 of all that, and a record a chunk that ends in a CRC-32 of its own.
type topHeader struct {
	Magic   [8]byte
	Version uint32
	Context uint32
	Vocab   uint32
	Chunks  uint32
	Body    uint32            // bytes of a chunk's answers
	Source  [sha256.Size]byte // Fingerprint of the base
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
		Chunks: uint32(t.chunks), Body: uint32(bodyFor(vocab, t.scored())), Source: source}}
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

// record is the size of a chunk with its checksum.
func (f *topFile) record() int { return int(f.Body) + 4 }

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
		f.Body < 6*f.Context/2 || f.Body > 1<<30 {
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
	return f.decode(body)
}

// Close closes the file.
func (f *topFile) Close() error {
	if c, ok := f.file.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

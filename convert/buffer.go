package convert

import "sync"

// buffer is scratch space that is used again.
type buffer struct{ b []byte }

var bufferPool = sync.Pool{New: func() any { return new(buffer) }}

func getBytes(n int64) *buffer {
	b := bufferPool.Get().(*buffer)
	if int64(cap(b.b)) < n {
		b.b = make([]byte, n)
	}
	b.b = b.b[:n]
	return b
}

func putBytes(b *buffer) { bufferPool.Put(b) }

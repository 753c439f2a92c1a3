package convert

import "sync"

// buffer is scratch space that is used again.
type buffer struct{ b []byte }

var bufferPool = sync.Pool{New: func() any { return new(buffer) }}

func getBytes(n int64) *buffer {
	b := bufferPool.Get().(*buffer)
	b.take(n)
	return b
}

// take makes b hold n bytes, of any values.
func (b *buffer) take(n int64) []byte {
	if int64(cap(b.b)) < n {
		b.b = make([]byte, n)
	}
	b.b = b.b[:n]
	return b.b
}

func putBytes(b *buffer) { bufferPool.Put(b) }

// floats is scratch space for values.
type floats struct{ f []float32 }

var floatPool = sync.Pool{New: func() any { return new(floats) }}

func (f *floats) take(n int64) []float32 {
	if int64(cap(f.f)) < n {
		f.f = make([]float32, n)
	}
	return f.f[:n]
}

// Package imatrix reads and writes importance matrices: for every weight the mean square of
// the activations that met each of its columns, gathered by running a text.
package imatrix

import (
	"slices"
	"strings"
)

// Matrix is an importance matrix. It is safe for concurrent use; a nil Matrix has no entries.
type Matrix struct {
	name      string
	entries   map[string]entry
	datasets  []string
	chunks    int64
	chunkSize int64
}

type entry struct {
	values []float32 // one matrix' columns after the other's
	counts []int64   // activations seen by each matrix; nil in the older form, which does not say
}

// Name is the file name the matrix was opened by.
func (m *Matrix) Name() string { return m.name }

// Len is the number of entries.
func (m *Matrix) Len() int {
	if m == nil {
		return 0
	}
	return len(m.entries)
}

// Names lists the tensors that have an entry, sorted.
func (m *Matrix) Names() []string {
	names := make([]string, 0, m.Len())
	if m != nil {
		for n := range m.entries {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// Entry is the importance of each column of a tensor: row length times number of experts values, expert by
// expert. An expert that no token reached weighs all columns alike, with 1 (in the older form with what was stored).
// Callers must not change it.
func (m *Matrix) Entry(tensor string) ([]float32, bool) {
	if m == nil {
		return nil, false
	}
	e, ok := m.entries[tensor]
	return e.values, ok
}

// Counts is the number of activations that each expert of a tensor has seen; nil without an entry, and in the older form.
func (m *Matrix) Counts(tensor string) []int64 {
	if m == nil {
		return nil
	}
	return m.entries[tensor].counts
}

// Datasets names the texts it was gathered from.
func (m *Matrix) Datasets() []string { return m.datasets }

// Chunks is the number of pieces of text that were run, ChunkSize the tokens in each.
func (m *Matrix) Chunks() int64 { return m.chunks }

// ChunkSize is the number of tokens of a chunk.
func (m *Matrix) ChunkSize() int64 { return m.chunkSize }

// Select keeps the entries whose names contain one of include (all of them if it is empty) and none of exclude.
func (m *Matrix) Select(include, exclude []string) *Matrix {
	c := *m
	c.entries = map[string]entry{}
	for name, e := range m.entries {
		in := func(part string) bool { return strings.Contains(name, part) }
		if (len(include) == 0 || slices.ContainsFunc(include, in)) && !slices.ContainsFunc(exclude, in) {
			c.entries[name] = e
		}
	}
	return &c
}

// Package gguf reads and writes the GGUF file format: types, metadata, tensor
// infos, shards. It knows bytes, not models.
//
// Files are read by pread, never mapped: mapped pages count as memory, and a
// file that shrinks under a mapping kills the process. Sizes found in a file
// are claims; nothing is allocated on their word. Writing is forward only, so
// that the hash of a file is known with its last byte.
package gguf

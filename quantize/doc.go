// Package quantize turns a gguf.Source into a smaller one: a Policy decides the
// type of every tensor, a Job encodes rows on demand. A Job is a gguf.Source
// itself, so the writer writes one, the runtime runs one, and a checkpoint's
// plan is quantized in one pass.
//
// The default policy decides as llama-quantize does, tensor by tensor and
// fallback by fallback, and a Job lists its tensors and metadata in
// llama-quantize's order: the files are equal byte for byte.
package quantize

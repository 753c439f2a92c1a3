// Package offload says where each tensor of a model lives. Every figure about
// placement (counts, bytes, log lines, banners) comes from the Ledger that the
// placement made, never from the flags that asked for it.
//
// Two arenas are told apart, as in llama.cpp with all layers on an accelerator:
// the device holds everything but the token embeddings; rules move tensors to
// the host. This runtime drives no accelerator: all tensors are read into RAM,
// and what the ledger lists under the device is what would lie there.
//
// A Planner finds placements before a model is loaded, from its header: a ledger
// for every --n-cpu-moe, and beside its bytes the cache and the compute buffer.
package offload

// Package runtime runs a model on the CPU: a GGUF file, or a checkpoint's
// conversion plan as it is. It is the facade over runtime/nn (the decoder),
// runtime/token (text to ids and back) and runtime/sample (logits to an id).
//
// Numbers do not depend on the number of threads, and not on how a text is cut
// into Eval calls: every value is computed by one worker in one fixed order.
package runtime

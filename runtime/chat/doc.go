// Package chat renders conversations with the chat templates of HuggingFace models: a subset of Jinja2 that gives
// what Python's jinja2 gives as transformers sets it up (trim_blocks, lstrip_blocks, the immutable sandbox, loop
// controls, the generation tag, tojson, raise_exception and strftime_now), and fails where that fails.
//
// Templates come from strangers. They see the values they are given and nothing else: no files, no environment, no
// other templates. Steps, output, recursion and sizes of values are bounded (Limits).
//
// Semantics follow https://jinja.palletsprojects.com/en/stable/templates/ and, where that is silent, what jinja2 3.1
// does; values behave as Python's.
package chat

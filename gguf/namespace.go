package gguf

import "strings"

// blockCount is the parameter that every language model's file states.
const blockCount = "block_count"

// ModelKey is the key that holds one of the model's parameters: "expert_count" ->
// "deepseek.expert_count". It is ArchKey's where the file has that key or keeps
// its parameters under the architecture's name; else, for a file whose
// architecture has another name than its keys, the key in the one namespace
// that has a block_count. Loaders ask for ArchKey; this is for what must work
// on any file.
func (m *Metadata) ModelKey(key string) string {
	own := m.ArchKey(key)
	if _, ok := m.Get(own); ok {
		return own
	}
	if _, ok := m.Get(m.ArchKey(blockCount)); ok {
		return own
	}
	if ns, ok := m.namespace(); ok {
		return ns + "." + key
	}
	return own
}

// namespace is the only prefix without a dot whose block_count is in the file; ok is false for none or several.
func (m *Metadata) namespace() (ns string, ok bool) {
	for _, k := range m.keys {
		prefix, found := strings.CutSuffix(k, "."+blockCount)
		if !found || strings.Contains(prefix, ".") {
			continue
		}
		if ok {
			return "", false
		}
		ns, ok = prefix, true
	}
	return ns, ok
}

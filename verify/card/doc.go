// Package card writes the model card of a release from its evidence bundle and
// from nothing else. A template prints values, and each value remembers the
// document and the pointer it came from; what it printed is recorded, so that
// an audit finds every number again. A number that a template states by itself
// is refused.
package card

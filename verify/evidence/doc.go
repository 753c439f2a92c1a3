// Package evidence keeps what a release was measured with and audits what is
// said about it. A bundle is a directory: environment, inputs and outputs with
// their SHA-256, commands, reports, traces, claims, and a MANIFEST.json that
// names and hashes every file. Audit recomputes all of it and holds each claim
// and each number of the model card against the bundle.
package evidence

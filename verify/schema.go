package verify

import _ "embed"

// Schema is the JSON Schema (draft 2020-12) of what `moeconv verify --json` prints and --report writes.
//
//go:embed verify.schema.json
var Schema []byte

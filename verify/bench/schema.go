package bench

import _ "embed"

// Schema is the JSON schema of the document that the bench command prints, around a Report.
//
//go:embed schema.json
var Schema string

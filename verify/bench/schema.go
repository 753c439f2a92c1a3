package bench

import _ "embed"

// SchemaName is the schema of the documents that the bench command prints, and that a release's bench stage keeps.
const SchemaName = "moeconv/bench/1"

// Schema is the JSON schema of these documents: around a Report, a Raw or a Ladder.
//
//go:embed schema.json
var Schema string

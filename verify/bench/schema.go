package bench

import _ "embed"

// SchemaName is the schema of the documents that the bench command prints, and that a release's bench stage keeps.
const SchemaName = "moeconv/bench/1"

// Result is what such a document says of a measurement: scenarios, or placements.
type Result struct {
	SHA256 string `json:"file_sha256,omitempty"` // of the measured file, or of its first shard, where it is known
	*Report
	Ladder *Ladder `json:"ladder,omitempty"`
}

// Schema is the JSON schema of these documents: around a Report, a Raw or a Ladder.
//
//go:embed schema.json
var Schema string

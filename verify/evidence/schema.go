package evidence

import _ "embed"

// Schema is the JSON Schema of the document that the audit command prints, around an AuditReport.
//
//go:embed schema.json
var Schema []byte

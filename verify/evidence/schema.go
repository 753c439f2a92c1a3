package evidence

import _ "embed"

// Schema is the JSON Schema of the document that the audit command prints, around an AuditReport.
//
//go:embed audit.schema.json
var Schema []byte

// BundleSchema is the JSON Schema of the document that the evidence command prints.
//
//go:embed evidence.schema.json
var BundleSchema []byte

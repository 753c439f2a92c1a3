package evidence

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchema holds audits that pass and fail against the schema, and a damaged document.
func TestSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("audit.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("audit.json")
	if err != nil {
		t.Fatal(err)
	}
	root, card := bundle(t)
	for name, r := range map[string]*AuditReport{"pass": audit(root, card), "fail": audit(root, []byte("7 TBD")), "damaged": {Items: []Item{{}}}} {
		data, err := json.Marshal(struct {
			Schema string         `json:"schema"`
			Tool   map[string]any `json:"tool"`
			*AuditReport
		}{"moeconv/audit/1", map[string]any{}, r})
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != (name != "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moeconv/moeconv/gguf"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("verify.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("verify.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asDocument is what the command prints of a release.
func asDocument(t *testing.T, rel *Release) map[string]any {
	t.Helper()
	data, err := json.Marshal(rel)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	doc["schema"] = "moeconv/verify/1"
	doc["tool"] = map[string]any{"version": "v", "commit": "c", "reference": "r"}
	return doc
}

// Documents are as the schema says, and the schema says no without them.
func TestDocumentsAgainstSchema(t *testing.T) {
	schema := compileSchema(t)
	bad := tinyAs(t, "Q6_K")
	clear(bad.expert(t, down2, 2))
	gone := Member{Label: "IQ2_M", Optional: true, Parts: []Part{{Name: "tiny-IQ2_M.gguf", Bytes: 7}},
		Open: func() (gguf.Source, error) { return nil, os.ErrNotExist }}
	probe := Check{Name: "probe code", Run: func(context.Context, *Subject) Result {
		r := NewResult(Pass, "")
		r.Prompt, r.Output, r.Original = "func", "main", "main() {"
		return r
	}}
	s := &Set{Checks: append(Standard(), probe), Members: []Member{member("Q8_0", tinyAs(t, "Q8_0")), member("Q6_K", bad), gone},
		Source:  Provenance{Repo: "o/n", Revision: "r", Fixes: []string{"f"}, Holes: []string{"h"}, Coverage: 0.5, Imatrix: "i"},
		Subject: Subject{Reference: tinyPlan(t), Text: validText(t), Context: 64, Chunks: 4}}
	rel := runSet(t, s)
	rel.Aside = []Aside{{"x-imatrix.gguf", "an importance matrix"}}
	doc := asDocument(t, rel)
	if err := schema.Validate(doc); err != nil {
		t.Errorf("%v", err)
	}
	failed := map[string]any{"schema": doc["schema"], "tool": doc["tool"], "error": map[string]any{"code": 1.0, "message": "m"}}
	if err := schema.Validate(failed); err != nil {
		t.Errorf("a failure: %v", err)
	}
	for name, spoil := range map[string]func(map[string]any){
		"a key removed":  func(d map[string]any) { delete(d, "verdict") },
		"a key retyped":  func(d map[string]any) { d["ready"] = "all" },
		"a strange key":  func(d map[string]any) { d["colour"] = "blue" },
		"another status": func(d map[string]any) { d["files"].([]any)[0].(map[string]any)["status"] = "good" },
		"figure as text": func(d map[string]any) {
			d["files"].([]any)[0].(map[string]any)["quality"].(map[string]any)["mean_kld"] = "0.1"
		},
	} {
		d := asDocument(t, rel)
		spoil(d)
		if schema.Validate(d) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// schemaKeys are the paths of a schema's properties with their types.
func schemaKeys(root, node map[string]any, path string, out map[string]string) {
	if ref, ok := node["$ref"].(string); ok {
		def := root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		schemaKeys(root, def, path, out)
		return
	}
	switch typ, ok := node["type"]; {
	case ok:
		out[path] = fmt.Sprint(typ)
	case node["enum"] != nil:
		out[path] = fmt.Sprint(node["enum"])
	default:
		out[path] = fmt.Sprint(node["const"])
	}
	props, _ := node["properties"].(map[string]any)
	for k, v := range props {
		schemaKeys(root, v.(map[string]any), path+"."+k, out)
	}
	for k, mark := range map[string]string{"items": "[]", "additionalProperties": ".*"} {
		if v, ok := node[k].(map[string]any); ok {
			schemaKeys(root, v, path+mark, out)
		}
	}
}

// Keys of schema number 1 are only added. A removed or retyped one needs another number; an added one belongs into the list.
func TestSchemaKeys(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema, &root); err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	schemaKeys(root, root, "$", keys)
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		lines = append(lines, k+" "+keys[k])
	}
	want, err := os.ReadFile("testdata/verify-1.keys")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), lines); diff != "" {
		t.Errorf("testdata/verify-1.keys (-) and the schema (+):\n%s", diff)
	}
}

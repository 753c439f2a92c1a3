package chat

import "strings"

// completeTools gives tools the fields that OpenAI's API lets clients leave out, and templates use without asking.
// A list that is missing is empty.
func completeTools(vars map[string]value) {
	tools, ok := vars["tools"].(*list)
	if !ok {
		tools = newList()
		vars["tools"] = tools
	}
	for _, t := range tools.items {
		tool, ok := t.(*dict)
		if !ok {
			continue
		}
		if f, ok := tool.get("function"); ok {
			if tool, ok = f.(*dict); !ok {
				continue
			}
		}
		fill(tool, "description", "")
		schema := newDict().put("type", "object").put("properties", newDict())
		fill(tool, "parameters", schema)
		if p, _ := tool.get("parameters"); p != schema {
			completeSchema(p, 0)
		}
	}
}

// completeSchema gives a JSON schema and those within it descriptions, and objects a list of what is required and a
// type of further properties.
func completeSchema(v value, depth int) {
	schema, ok := v.(*dict)
	if !ok || depth > maxNesting {
		return
	}
	if depth > 0 {
		fill(schema, "description", "")
	}
	if kind, _ := schema.get("type"); kind == "object" {
		fill(schema, "properties", newDict())
		fill(schema, "required", newList())
		fill(schema, "additionalProperties", newDict())
	}
	if p, _ := schema.get("properties"); p != nil {
		if all, ok := p.(*dict); ok {
			for _, one := range all.vals {
				completeSchema(one, depth+1)
			}
		}
	}
	items, _ := schema.get("items")
	completeSchema(items, depth+1)
}

// fill sets a field that is missing or null.
func fill(d *dict, key string, v value) {
	if old, _ := d.get(key); old == nil {
		d.put(key, v)
	}
}

// olderVariables are what some templates of 2024 expect, as llama.cpp fills them in.
func olderVariables(x *exec, vars map[string]value) {
	if _, ok := vars["functions"]; !ok {
		var b strings.Builder
		style := jsonStyle{x: x, pretty: true, indent: "  ", comma: ",", colon: ": "}
		if tools, ok := vars["tools"].(*list); ok && style.dump(&b, tools, 0) == nil {
			vars["functions"] = b.String()
		} else {
			vars["functions"] = ""
		}
	}
	if _, ok := vars["datetime"]; !ok {
		vars["datetime"] = x.now().Format("Jan 02 2006")
	}
}

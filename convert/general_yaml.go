package convert

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const cardFile = "README.md"

// frontMatter is the mapping between the --- lines at the top of a model card, its
// plain scalars typed as PyYAML types them (YAML 1.1: yes and off are truth values,
// 010 is eight, 1e3 is text). Keys that are no text are left out. It is empty where
// the card has no front matter or one that is no mapping.
func frontMatter(card []byte) (map[string]any, error) {
	if !utf8.Valid(card) {
		return nil, cardErrorf(cardFile, "not UTF-8")
	}
	lines := pyLines(string(card))
	if len(lines) == 0 || lines[0] != "---" {
		return nil, nil
	}
	lines = lines[1:]
	for i, l := range lines {
		if l == "---" {
			lines = lines[:i]
			break
		}
	}
	text := strings.Join(lines, "\n") + "\n"
	text = strings.ReplaceAll(text, "- no\n", "- \"no\"\n") // Norwegian
	text = strings.ReplaceAll(text, "\t", "  ")
	v, err := parsePyYAML(text)
	if err != nil {
		return nil, cardErrorf(cardFile, "front matter: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	m, _ := v.(map[string]any)
	return m, nil
}

// parsePyYAML is yaml.safe_load, but for the parser's grammar, which is go-yaml's: it
// refuses "\/" and takes [a:] for the text a: (PyYAML: a mapping).
func parsePyYAML(text string) (any, error) {
	if i := strings.IndexFunc(text, unprintable); i >= 0 {
		c, _ := utf8.DecodeRuneInString(text[i:])
		return nil, yamlErrorf(1+strings.Count(text[:i], "\n"), "character %#U is not allowed", c)
	}
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := dec.Decode(&more); err == nil {
		return nil, yamlErrorf(more.Line, "a second document begins")
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	b := pyBuilder{done: map[*yaml.Node]any{}, open: map[*yaml.Node]bool{}}
	return b.value(doc.Content[0])
}

// unprintable are the characters that YAML does not allow.
func unprintable(c rune) bool {
	switch {
	case c == '\t', c == '\n', c == '\r', c == 0x85:
		return false
	case c >= ' ' && c <= '~', c >= 0xa0 && c <= 0xd7ff, c >= 0xe000 && c <= 0xfffd, c >= 0x10000:
		return false
	}
	return true
}

// pyBuilder makes Python values of YAML nodes. Aliases share their value, so that a text cannot grow by them.
type pyBuilder struct {
	done map[*yaml.Node]any
	open map[*yaml.Node]bool // being built: an alias to one is a cycle
}

func (b *pyBuilder) value(n *yaml.Node) (any, error) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if v, ok := b.done[n]; ok {
		return v, nil
	}
	if b.open[n] {
		return opaque{"a value that contains itself"}, nil
	}
	b.open[n] = true
	v, err := b.build(n)
	delete(b.open, n)
	if err == nil {
		b.done[n] = v
	}
	return v, err
}

func (b *pyBuilder) build(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return pyScalar(n)
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			v, err := b.value(c)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return ofKind(n, list, "!!seq", "!!omap", "!!pairs")
	case yaml.MappingNode:
		m, err := b.mapping(n)
		if err != nil {
			return nil, err
		}
		return ofKind(n, m, "!!map", "!!set")
	}
	return nil, yamlErrorf(n.Line, "a node of kind %d", n.Kind)
}

// ofKind is v when the node has the plain tag or none, opaque when it has one of the others.
func ofKind(n *yaml.Node, v any, plain string, others ...string) (any, error) {
	switch tag := explicitTag(n); {
	case tag == "", tag == plain:
		return v, nil
	case slices.Contains(others, tag):
		return opaque{"a value of the kind " + tag}, nil
	default:
		return nil, yamlErrorf(n.Line, "a value of the unknown kind %s", tag)
	}
}

// mapping is the mapping with what << merges in; own entries win, of repeated keys the last.
func (b *pyBuilder) mapping(n *yaml.Node) (any, error) {
	own, merged := map[string]any{}, map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.Style == 0 && key.Value == "<<" {
			if err := b.merge(merged, value); err != nil {
				return nil, err
			}
			continue
		}
		k, err := b.key(key)
		if err != nil {
			return nil, err
		}
		v, err := b.value(value)
		if err != nil {
			return nil, err
		}
		if s, ok := k.(string); ok {
			own[s] = v
		}
	}
	for k, v := range merged {
		if _, ok := own[k]; !ok {
			own[k] = v
		}
	}
	return own, nil
}

// key is the value of a key, which cannot be a list or a mapping. A plain = is a text here and only here.
func (b *pyBuilder) key(n *yaml.Node) (any, error) {
	if n.Kind == yaml.ScalarNode && n.Style == 0 && n.Value == "=" {
		return "=", nil
	}
	k, err := b.value(n)
	if err != nil {
		return nil, err
	}
	switch k.(type) {
	case []any, map[string]any:
		return nil, yamlErrorf(n.Line, "%s as a key", describeValue(k))
	}
	return k, nil
}

// merge adds one mapping, or a list of them of which the first wins; a later << wins over an earlier.
func (b *pyBuilder) merge(into map[string]any, n *yaml.Node) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	for i := len(nodes) - 1; i >= 0; i-- {
		v, err := b.value(nodes[i])
		if err != nil {
			return err
		}
		m, ok := v.(map[string]any)
		if !ok {
			return yamlErrorf(n.Line, "<< merges mappings, not %s", describeValue(v))
		}
		for k, v := range m {
			into[k] = v
		}
	}
	return nil
}

// explicitTag is the tag written in the text: !!int. Empty when there is none.
func explicitTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle == 0 {
		return ""
	}
	return n.ShortTag()
}

func pyScalar(n *yaml.Node) (any, error) {
	tag := explicitTag(n)
	if tag == "" {
		if n.Style != 0 { // quoted, | or >
			return n.Value, nil
		}
		tag = pyTag(n.Value)
	}
	switch tag {
	case "!!str":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		if v, ok := pyBools[strings.ToLower(n.Value)]; ok {
			return v, nil
		}
	case "!!int":
		if v, ok := pyInt(n.Value); ok {
			return v, nil
		}
	case "!!float":
		if v, ok := pyFloat(n.Value); ok {
			return v, nil
		}
	case "!!timestamp":
		if validTimestamp(n.Value) {
			return opaque{"the date " + n.Value}, nil
		}
	case "!!binary":
		if v, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), "")); err == nil {
			return v, nil
		}
	}
	return nil, yamlErrorf(n.Line, "%q is no valid %s", n.Value, strings.TrimPrefix(tag, "!!"))
}

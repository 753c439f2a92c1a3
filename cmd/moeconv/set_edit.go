package main

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf"
)

const (
	keyTemplate     = "tokenizer.chat_template"
	keyAlignment    = "general.alignment"
	keyArchitecture = "general.architecture"
)

// edit is one change that was asked for.
type edit struct {
	key     string
	value   any // nil: remove
	element int // of the array that key is; -1: all of it
}

// elementOf is a key with the index of an element.
var elementOf = regexp.MustCompile(`^(.+)\[([0-9]+)\]$`)

// parseEdit reads KEY=TYPE:VALUE or, with file, KEY=TYPE:FILE.
func parseEdit(s string, file bool) (edit, error) {
	key, rest, ok := strings.Cut(s, "=")
	typ, text, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || key == "" {
		return edit{}, usageError{fmt.Errorf("%.80q: want KEY=TYPE:VALUE, as in general.name=str:Tiny", s)}
	}
	if file {
		var err error
		if text, err = readValue(text); err != nil {
			return edit{}, err
		}
	}
	v, err := gguf.ParseValue(typ, text)
	if err != nil {
		return edit{}, usageError{fmt.Errorf("%s: %w", key, err)}
	}
	e := edit{key: key, value: v, element: -1}
	if m := elementOf.FindStringSubmatch(key); m != nil {
		e.key = m[1]
		if e.element, err = strconv.Atoi(m[2]); err != nil {
			return edit{}, usageError{fmt.Errorf("%s: %w", key, err)}
		}
	}
	return e, nil
}

// checkKeys refuses edits of keys that only moeconv may write, and of protected ones without force.
func checkKeys(edits []edit, force bool) error {
	for _, e := range edits {
		switch {
		case strings.HasPrefix(e.key, "split."):
			return withHint(usageError{fmt.Errorf("%s says where a shard belongs and is not edited", e.key)}, "split and merge write it")
		case !utf8.ValidString(e.key) || strings.IndexByte(e.key, 0) >= 0 || len(e.key) > 65535:
			return usageError{fmt.Errorf("%.80q can be no key: want UTF-8 of at most 65535 bytes", e.key)}
		case e.value == nil && e.key == keyArchitecture:
			return usageError{fmt.Errorf("no loader takes a file without %s", e.key)}
		case force:
		case e.key == keyAlignment:
			return withHint(usageError{fmt.Errorf("%s decides where tensors lie", e.key)}, "--force edits it and moves them")
		case e.key == keyArchitecture:
			return withHint(usageError{fmt.Errorf("%s decides how a file is run, and its keys go by it", e.key)}, "--force edits it")
		case strings.HasPrefix(e.key, "moeconv.expert."):
			return withHint(usageError{fmt.Errorf("%s is one of the experts' marks, which the tensors decide", e.key)}, "tag sets the marks; --force edits them")
		}
	}
	return nil
}

// changeDoc is one change that is made.
type changeDoc struct {
	Op     string         `json:"op"` // add, replace or remove
	Key    string         `json:"key"`
	Before *gguf.KeyValue `json:"before,omitempty"`
	After  *gguf.KeyValue `json:"after,omitempty"`
}

func newChange(op, key string, before, after any) changeDoc {
	return changeDoc{op, key, describeValue(key, before), describeValue(key, after)}
}

func describeValue(key string, v any) *gguf.KeyValue {
	if v == nil {
		return nil
	}
	var md gguf.Metadata
	md.Set(key, v)
	return &gguf.Describe(&md)[0]
}

func (c changeDoc) text() string {
	show := func(kv *gguf.KeyValue) string { return strings.ToLower(kv.Type) + " " + valueText(*kv) }
	switch {
	case c.Before == nil:
		return show(c.After)
	case c.After == nil:
		return show(c.Before)
	}
	return show(c.Before) + " -> " + show(c.After)
}

// applyEdits is md after the edits, and what they change; an edit of a value to itself changes nothing.
func applyEdits(md *gguf.Metadata, edits []edit, force bool) (*gguf.Metadata, []changeDoc, error) {
	out := md.Clone()
	changes := []changeDoc{} // in JSON an empty list, not null
	for _, e := range edits {
		old, there := out.Get(e.key)
		if e.value == nil {
			if !there {
				return nil, nil, fmt.Errorf("there is no key %s to remove", e.key)
			}
			out.Delete(e.key)
			changes = append(changes, newChange("remove", e.key, old, nil))
			continue
		}
		v, err := e.applied(old, there)
		if err != nil {
			return nil, nil, err
		}
		if there && reflect.DeepEqual(old, v) {
			continue
		}
		op := "add"
		if there {
			op = "replace"
			if was, is := typeText(old), typeText(v); was != is && !force {
				return nil, nil, withHint(fmt.Errorf("key %s is %s, not %s: loaders look for values by their types", e.key, was, is), "--force changes the type")
			}
		}
		out.Set(e.key, v)
		if e.element >= 0 {
			was := reflect.ValueOf(old).Index(e.element).Interface()
			changes = append(changes, newChange(op, fmt.Sprintf("%s[%d]", e.key, e.element), was, e.value))
			continue
		}
		changes = append(changes, newChange(op, e.key, old, v))
	}
	return out, changes, nil
}

// applied is the key's value after the edit.
func (e edit) applied(old any, there bool) (any, error) {
	if e.element < 0 {
		return e.value, nil
	}
	if !there {
		return nil, fmt.Errorf("there is no key %s", e.key)
	}
	t, elem, _ := gguf.TypeOf(old)
	if t != gguf.ArrayType {
		return nil, fmt.Errorf("key %s is %v, no array", e.key, t)
	}
	r := reflect.ValueOf(old)
	if e.element >= r.Len() {
		return nil, fmt.Errorf("key %s has %d elements, none with index %d", e.key, r.Len(), e.element)
	}
	if is, _, _ := gguf.TypeOf(e.value); is != elem || elem == gguf.ArrayType {
		return nil, fmt.Errorf("elements of key %s are %v, not %s", e.key, elem, typeText(e.value))
	}
	c := reflect.MakeSlice(r.Type(), r.Len(), r.Len())
	reflect.Copy(c, r)
	c.Index(e.element).Set(reflect.ValueOf(e.value))
	return c.Interface(), nil
}

// typeText is a value's type as inspect shows it.
func typeText(v any) string {
	t, elem, _ := gguf.TypeOf(v)
	if t == gguf.ArrayType {
		return fmt.Sprintf("%v of %v", t, elem)
	}
	return t.String()
}

package vocab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"unicode/utf8"
)

// maxFile is the largest tokenizer file that is read, in bytes; the largest known have 20 MB.
const maxFile = 256 << 20

// files are a checkpoint's tokenizer files. Those that are missing are nil.
type files struct {
	fsys       fs.FS
	tokenizer  []byte
	config     *object // tokenizer_config.json
	specialMap *object // special_tokens_map.json
	model      *object // config.json
}

func readFiles(fsys fs.FS) (*files, error) {
	f := &files{fsys: fsys}
	var err error
	for name, dst := range map[string]**object{"tokenizer_config.json": &f.config, "special_tokens_map.json": &f.specialMap, "config.json": &f.model} {
		if *dst, err = readObject(fsys, name); err != nil {
			return nil, err
		}
	}
	if f.tokenizer, err = readText(fsys, "tokenizer.json"); err != nil {
		return nil, err
	}
	return f, nil
}

// readText reads a UTF-8 file; nil when it does not exist.
func readText(fsys fs.FS, name string) ([]byte, error) {
	data, err := readFile(fsys, name)
	if err != nil {
		return nil, err
	}
	if at := invalidUTF8(data); at >= 0 {
		return nil, fmt.Errorf("%s: not UTF-8 at byte %d", name, at)
	}
	return data, nil
}

// readFile reads a file; nil when it does not exist.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	file, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d MiB", name, maxFile>>20)
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// invalidUTF8 is the position of the first byte that is not UTF-8, -1 if there is none.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// jsonError names where a JSON text is wrong.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not valid JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &typed):
		return fmt.Errorf("%s at byte %d where %s is expected", typed.Value, typed.Offset, jsonKind(typed.Type))
	}
	return fmt.Errorf("not valid JSON: %w", err)
}

// jsonKind is what JSON calls the values of a Go type.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return "an integer"
}

// object is a JSON object whose keys keep their order. Its values are what encoding/json
// makes of them, with json.Number for numbers.
type object struct {
	keys   []string
	values map[string]any
}

func readObject(fsys fs.FS, name string) (*object, error) {
	data, err := readText(fsys, name)
	if data == nil || err != nil {
		return nil, err
	}
	o := &object{}
	if err := json.Unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("%s: %w", name, jsonError(err))
	}
	return o, nil
}

// UnmarshalJSON implements json.Unmarshaler. Of a repeated key the last value counts.
func (o *object) UnmarshalJSON(data []byte) error {
	o.values = map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&o.values); err != nil {
		return err
	}
	keys := json.NewDecoder(bytes.NewReader(data))
	if _, err := keys.Token(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for keys.More() {
		t, err := keys.Token()
		if err != nil {
			return err
		}
		if k := t.(string); !seen[k] {
			seen[k] = true
			o.keys = append(o.keys, k)
		}
		var skip json.RawMessage
		if err := keys.Decode(&skip); err != nil {
			return err
		}
	}
	return nil
}

// get is the value of key, nil where there is none or no object.
func (o *object) get(key string) any {
	if o == nil {
		return nil
	}
	return o.values[key]
}

// has reports whether key is there, null included.
func (o *object) has(key string) bool {
	if o == nil {
		return false
	}
	_, ok := o.values[key]
	return ok
}

// set gives key a value.
func (o *object) set(key string, v any) {
	if !o.has(key) {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

// empty reports whether there is no object or nothing in it.
func (o *object) empty() bool { return o == nil || len(o.keys) == 0 }

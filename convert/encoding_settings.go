package convert

import (
	"encoding/json"
	"fmt"

	"github.com/moeconv/moeconv/convert/family"
)

// settings is an object of quantization_config with the path to it, for messages.
type settings struct {
	path   string
	fields map[string]any
}

// quantization is a checkpoint's quantization_config.
func quantization(c family.Config) settings {
	return settings{"config.json: quantization_config", c.Object("quantization_config")}
}

// method reports whether quantization_config is of one of these quant_methods.
func method(names ...string) func(family.Config) bool {
	return func(c family.Config) bool {
		m, _ := quantization(c).fields["quant_method"].(string)
		for _, n := range names {
			if m == n {
				return true
			}
		}
		return false
	}
}

// has reports whether a field is there and not null.
func (s settings) has(key string) bool { return s.fields[key] != nil }

// object is a field that must be an object; without any fields where it is absent.
func (s settings) object(key string) (settings, error) {
	out := settings{path: s.path + "." + key}
	if !s.has(key) {
		return out, nil
	}
	m, ok := s.fields[key].(map[string]any)
	if !ok {
		return out, fmt.Errorf("%s must be an object", out.path)
	}
	out.fields = m
	return out, nil
}

// str is a text field, "" where it is absent.
func (s settings) str(key string) (string, error) {
	if !s.has(key) {
		return "", nil
	}
	v, ok := s.fields[key].(string)
	if !ok {
		return "", fmt.Errorf("%s.%s must be a string", s.path, key)
	}
	return v, nil
}

// yes is a true-or-false field, false where it is absent.
func (s settings) yes(key string) (bool, error) {
	if !s.has(key) {
		return false, nil
	}
	v, ok := s.fields[key].(bool)
	if !ok {
		return false, fmt.Errorf("%s.%s must be true or false", s.path, key)
	}
	return v, nil
}

// maxSetting bounds numbers of bits, groups and blocks.
const maxSetting = 1 << 24

// count is a number of at least 1, 0 where the field is absent.
func (s settings) count(key string) (int64, error) {
	if !s.has(key) {
		return 0, nil
	}
	return s.number(key, s.fields[key])
}

func (s settings) number(key string, v any) (int64, error) {
	num, _ := v.(json.Number)
	n, err := num.Int64()
	if err != nil || n < 1 || n > maxSetting {
		return 0, fmt.Errorf("%s.%s: %v is not a number from 1 to %d", s.path, key, v, maxSetting)
	}
	return n, nil
}

// pair is a list of two numbers of at least 1, nil where the field is absent.
func (s settings) pair(key string) ([]int64, error) {
	if !s.has(key) {
		return nil, nil
	}
	list, ok := s.fields[key].([]any)
	if !ok || len(list) != 2 {
		return nil, fmt.Errorf("%s.%s: %v is not a list of two numbers", s.path, key, s.fields[key])
	}
	out := make([]int64, 2)
	for i, v := range list {
		var err error
		if out[i], err = s.number(key, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

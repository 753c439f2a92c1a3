package family

import "encoding/json"

// Ints is a field that is a list of integers within 0 and 2^31-1; nil where it is absent or null.
func (c Config) Ints(key string) []int64 {
	list := c.list(key, "integers")
	out := make([]int64, 0, len(list))
	for i, v := range list {
		num, ok := v.(json.Number)
		n, err := num.Int64()
		if !ok || err != nil || n < 0 || n > maxDim {
			c.fail("%s[%d] must be an integer, got %s", key, i, show(v))
			return nil
		}
		out = append(out, n)
	}
	return out
}

// Strings is a field that is a list of texts; nil where it is absent or null.
func (c Config) Strings(key string) []string {
	list := c.list(key, "strings")
	out := make([]string, 0, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			c.fail("%s[%d] must be a string, got %s", key, i, show(v))
			return nil
		}
		out = append(out, s)
	}
	return out
}

func (c Config) list(key, of string) []any {
	v, _ := c.get(key)
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		c.fail("%s must be a list of %s, got %s", key, of, show(v))
	}
	return list
}

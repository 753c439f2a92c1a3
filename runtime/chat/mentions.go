package chat

import "reflect"

// mentions reports whether an expression anywhere in a body is the name.
func mentions(body any, name string) bool { return mentioned(reflect.ValueOf(body), name) }

func mentioned(v reflect.Value, name string) bool {
	switch v.Kind() {
	case reflect.Interface:
		return mentioned(v.Elem(), name)
	case reflect.Slice:
		for i := range v.Len() {
			if mentioned(v.Index(i), name) {
				return true
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[nameExpr]() {
			return v.Field(0).String() == name
		}
		for i := range v.NumField() {
			if mentioned(v.Field(i), name) {
				return true
			}
		}
	}
	return false
}

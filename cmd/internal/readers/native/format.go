package native

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/daemonry/daemonry/spec"
)

// Format returns services as the text of a daemonry.toml. Parse reads it back
// as the same services; what has its default is left out as far as the services
// leave it out. A text that is not UTF-8 is an error, for TOML cannot hold it.
func Format(services []spec.Service) ([]byte, error) {
	var w writer
	for i := range services {
		if text, bad := notUTF8(reflect.ValueOf(services[i])); bad {
			return nil, fmt.Errorf("format service %s: %q is not UTF-8, which a TOML file must be",
				services[i].Name, text)
		}
		if i > 0 {
			w.b.WriteByte('\n')
		}
		fields, err := fieldsOf(reflect.ValueOf(services[i]))
		if err != nil {
			return nil, fmt.Errorf("format service %s: %w", services[i].Name, err)
		}
		path := "service." + tomlKey(services[i].Name)
		w.table(path, "["+path+"]", fields)
	}
	return w.b.Bytes(), nil
}

// notUTF8 finds a text that is not UTF-8. On the way to TOML it would become another.
func notUTF8(v reflect.Value) (string, bool) {
	var inside []reflect.Value
	switch v.Kind() {
	case reflect.String:
		return v.String(), !utf8.ValidString(v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			inside = append(inside, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			inside = append(inside, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			inside = append(inside, v.Index(i))
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			inside = append(inside, key, value)
		}
	}
	for _, one := range inside {
		if text, bad := notUTF8(one); bad {
			return text, true
		}
	}
	return "", false
}

// field is a key with its value as JSON has it.
type field struct {
	key   string
	value any
}

// fieldsOf returns what a service says, in the order of its declaration.
func fieldsOf(v reflect.Value) ([]field, error) {
	var fields []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			inner, err := fieldsOf(v.Field(i))
			if err != nil {
				return nil, err
			}
			fields = append(fields, inner...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if v.Field(i).IsZero() || slices.Contains(notForPeople, name) {
			continue
		}
		data, err := json.Marshal(v.Field(i).Interface())
		if err != nil {
			return nil, err
		}
		var value any
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		fields = append(fields, field{name, value})
	}
	return fields, nil
}

// writer writes TOML. The values of a table come before its subtables, as TOML
// wants it.
type writer struct {
	b bytes.Buffer
}

func (w *writer) table(path, header string, fields []field) {
	w.b.WriteString(header + "\n")
	for _, f := range fields {
		if !isTable(f.value) {
			fmt.Fprintf(&w.b, "%s = %s\n", tomlKey(f.key), tomlValue(f.key, f.value))
		}
	}
	for _, f := range fields {
		if !isTable(f.value) {
			continue
		}
		below := path + "." + tomlKey(f.key)
		switch v := f.value.(type) {
		case map[string]any:
			w.table(below, "["+below+"]", sortedFields(v))
		case []any:
			for _, one := range v {
				table, _ := one.(map[string]any)
				w.table(below, "[["+below+"]]", sortedFields(table))
			}
		}
	}
}

func isTable(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return true
	case []any:
		return len(v) > 0 && isTable(v[0])
	}
	return false
}

func sortedFields(m map[string]any) []field {
	var fields []field
	for _, key := range slices.Sorted(maps.Keys(m)) {
		fields = append(fields, field{key, m[key]})
	}
	return fields
}

func tomlValue(key string, value any) string {
	switch v := value.(type) {
	case string:
		return tomlText(escapeDollars(key, v))
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = tomlValue(key, v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(value) // a json.Number or a bool, which TOML writes the same
}

// escapeDollars keeps Parse from expanding what a service says.
func escapeDollars(key, text string) string {
	if key == "mask" || key == "ready" && strings.HasPrefix(text, "log:") {
		return text
	}
	return strings.ReplaceAll(text, "$", "$$")
}

// tomlText writes a basic string (TOML 1.0): control characters, quotes and
// backslashes are escaped.
func tomlText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// tomlKey writes a bare key where that is possible.
func tomlKey(key string) string {
	for _, c := range []byte(key) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '-'
		if !letter && (c < '0' || c > '9') {
			return tomlText(key)
		}
	}
	return cmp.Or(key, `""`)
}

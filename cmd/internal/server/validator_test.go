//go:build linux

package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// validator knows as much of JSON Schema 2020-12 as the description uses, and
// is stricter: a property that is not described is a problem.
type validator struct {
	schemas  object
	problems []string
}

func (v *validator) fail(at, format string, args ...any) {
	v.problems = append(v.problems, at+": "+fmt.Sprintf(format, args...))
}

func (v *validator) answer(op object, status int, contentType, body string) {
	described, ok := op["responses"].(object)[fmt.Sprint(status)].(object)
	if !ok {
		v.fail("answer", "status %d is not described", status)
		return
	}
	content, ok := described["content"].(object)[contentType].(object)
	if !ok {
		v.fail("answer", "content type %s is not described", contentType)
		return
	}
	texts := []string{body}
	switch {
	case strings.HasPrefix(contentType, "text/"):
		return
	case contentType == "application/x-ndjson":
		texts = strings.FieldsFunc(body, func(r rune) bool { return r == '\n' })
	}
	for _, text := range texts {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			v.fail("answer", "%v", err)
			continue
		}
		v.check("answer", content["schema"].(object), value)
	}
}

func (v *validator) check(at string, schema object, value any) {
	if ref, ok := schema["$ref"].(string); ok {
		v.check(at, v.schemas[filepath.Base(ref)].(object), value)
		return
	}
	if list, ok := schema["oneOf"].([]any); ok {
		v.oneOf(at, list, value)
		return
	}
	if values, ok := schema["enum"].([]any); ok && !slices.Contains(values, value) {
		v.fail(at, "%v is none of %v", value, values)
	}
	switch kind := schema["type"]; x := value.(type) {
	case object:
		v.object(at, schema, x)
	case []any:
		if kind != "array" {
			v.fail(at, "an array, want %v", kind)
			return
		}
		for i, item := range x {
			v.check(fmt.Sprintf("%s[%d]", at, i), schema["items"].(object), item)
		}
	case string:
		_, err := time.Parse(time.RFC3339, x)
		if !isType(kind, "string") || schema["format"] == "date-time" && err != nil {
			v.fail(at, "text %q, want %v", x, kind)
		}
	case float64:
		if !isType(kind, "number") && (!isType(kind, "integer") || x != float64(int64(x))) {
			v.fail(at, "number %v, want %v", x, kind)
		}
	case bool:
		if kind != "boolean" {
			v.fail(at, "%v, want %v", x, kind)
		}
	case nil:
		if kind != "null" {
			v.fail(at, "null, want %v", kind)
		}
	}
}

func isType(have any, want string) bool {
	list, ok := have.([]any)
	return have == want || ok && slices.Contains(list, any(want))
}

func (v *validator) oneOf(at string, list []any, value any) {
	for _, schema := range list {
		try := &validator{schemas: v.schemas}
		if try.check(at, schema.(object), value); len(try.problems) == 0 {
			return
		}
	}
	v.fail(at, "%v is none of what it may be", value)
}

func (v *validator) object(at string, schema, value object) {
	if schema["type"] != "object" {
		v.fail(at, "an object, want %v", schema["type"])
		return
	}
	properties, _ := schema["properties"].(object)
	more, _ := schema["additionalProperties"].(object)
	for _, name := range slices.Sorted(maps.Keys(value)) {
		switch p, ok := properties[name].(object); {
		case ok:
			v.check(at+"."+name, p, value[name])
		case more != nil:
			v.check(at+"."+name, more, value[name])
		default:
			v.fail(at+"."+name, "is not described")
		}
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := value[name.(string)]; !ok {
			v.fail(at, "%s is missing", name)
		}
	}
}

func TestValidatorCanFail(t *testing.T) {
	schema := object{
		"type": "object", "required": []any{"a"},
		"properties": object{
			"a": object{"type": "string", "format": "date-time"},
			"b": object{"type": "array", "items": object{"type": "integer"}},
			"c": object{"oneOf": []any{object{"type": "null"}, object{"type": "boolean"}}},
			"d": object{"enum": []any{"x"}, "type": "string"},
		},
	}
	for text, want := range map[string]int{
		`{"a": "2026-01-02T03:04:05Z", "b": [1], "c": null, "d": "x"}`: 0,
		`{}`:                          1,
		`{"a": "yesterday"}`:          1,
		`{"a": null, "e": 1}`:         2,
		`{"a": 1, "b": [1.5, "x"]}`:   3,
		`{"a": 1, "c": "x", "d": ""}`: 3,
		`[]`:                          1,
	} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		v := &validator{}
		if v.check("x", schema, value); len(v.problems) != want {
			t.Errorf("%s: %q, want %d problems", text, v.problems, want)
		}
	}
}

//go:build linux

package server

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

var update = flag.Bool("update", false, "write docs/openapi.json")

const openapiFile = "../../../docs/openapi.json"

type object = map[string]any

// schemas collects the schemas of types.
type schemas struct {
	docs  map[string]string // by "package.Type" and "package.Type.Field"
	types object
}

// describe builds the whole description.
func describe(t *testing.T) []byte {
	s := &schemas{docs: map[string]string{}, types: object{}}
	for _, dir := range []string{"control", "spec"} {
		readDocs(t, dir, s.docs)
	}
	paths := object{}
	for _, op := range operations() {
		method, path, _ := strings.Cut(op.route, " ")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[strings.ToLower(method)] = s.operation(op)
	}
	doc := object{
		"openapi": "3.1.0",
		"info": object{"title": "Daemonry control API", "version": control.Version,
			"description": "Served over a Unix socket. See api.md."},
		"servers": []any{object{"url": "http://daemonry",
			"description": "Whatever the host; the Unix socket decides."}},
		"paths":      paths,
		"components": object{"schemas": s.types},
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func (s *schemas) operation(op operation) object {
	answers := object{"200": s.answer("Done.", op.content, op.out)}
	if op.also != 0 {
		answers[fmt.Sprint(op.also)] = s.answer("Not well.", op.content, op.out)
	}
	codes := append([]control.Code{control.BadRequest, control.Forbidden}, op.codes...)
	if op.in != nil {
		codes = append(codes, control.TooLarge)
	}
	byStatus := map[int][]string{}
	for _, c := range codes {
		byStatus[statusOf(c)] = append(byStatus[statusOf(c)], string(c))
	}
	for status, list := range byStatus {
		answers[fmt.Sprint(status)] = s.answer("Error "+strings.Join(list, " or ")+".", "",
			control.Error{})
	}
	answers["default"] = s.answer("Another error.", "", control.Error{})
	o := object{"summary": op.summary, "responses": answers}
	var params []any
	for _, p := range op.params {
		schema := object{"type": "string"}
		if (p.name == "name" || p.name == "stream") && p.kind == "query" {
			schema = object{"type": "array", "items": schema}
		}
		params = append(params, object{
			"name":        p.name,
			"in":          p.kind,
			"required":    p.kind == "path",
			"description": p.help,
			"schema":      schema,
		})
	}
	if params != nil {
		o["parameters"] = params
	}
	if op.in != nil {
		o["requestBody"] = object{"required": true, "content": object{
			"application/json": object{"schema": s.of(reflect.TypeOf(op.in))},
		}}
	}
	return o
}

func (s *schemas) answer(text, content string, v any) object {
	schema := object{"type": "string"}
	if v != nil {
		schema = s.of(reflect.TypeOf(v))
	}
	if content == "" {
		content = "application/json"
	}
	return object{"description": text, "content": object{content: object{"schema": schema}}}
}

// of returns the schema of a type; that of a struct is put aside and referred to.
func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[control.State]():
		return object{"type": "string", "enum": control.States()}
	case t == reflect.TypeFor[spec.Command]():
		return object{"oneOf": []any{object{"type": "array", "items": object{"type": "string"}},
			object{"type": "string"}}}
	case t == reflect.TypeFor[spec.ByteSize]():
		return object{"type": []string{"string", "integer"}}
	case t.Implements(reflect.TypeFor[interface{ Values() []string }]()):
		return object{"type": "string",
			"enum": reflect.Zero(t).Interface().(interface{ Values() []string }).Values()}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 { // encoding/json
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.reference(t)
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "integer"} // what is no integer fails when a run is validated
}

func (s *schemas) reference(t reflect.Type) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if s.types[t.Name()] != nil {
		return ref
	}
	o := object{"type": "object", "x-go-type": t.String()}
	s.types[t.Name()] = o
	properties, required := object{}, []string{}
	s.fields(t, properties, &required)
	o["properties"] = properties
	if len(required) > 0 {
		o["required"] = required
	}
	if doc := s.docs[t.String()]; doc != "" {
		o["description"] = doc
	}
	return ref
}

func (s *schemas) fields(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		if f.Anonymous {
			s.fields(f.Type, properties, required)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		schema := s.of(f.Type)
		if !strings.Contains(options, "omitzero") {
			*required = append(*required, name)
			if f.Type.Kind() == reflect.Pointer {
				schema = object{"oneOf": []any{schema, object{"type": "null"}}}
			}
		}
		if doc := s.docs[t.String()+"."+f.Name]; doc != "" {
			schema["description"] = doc
		}
		properties[name] = schema
	}
}

// readDocs reads the comments of a package's types and fields.
func readDocs(t *testing.T, pkg string, docs map[string]string) {
	files, err := filepath.Glob("../../../" + pkg + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			ts, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range st.Fields.List {
				doc := f.Doc.Text()
				if doc == "" {
					doc = f.Comment.Text()
				}
				for _, name := range f.Names {
					docs[pkg+"."+ts.Name.Name+"."+name.Name] = strings.Join(strings.Fields(doc),
						" ")
				}
			}
			return true
		})
	}
}

func TestOpenAPIIsUpToDate(t *testing.T) {
	want := describe(t)
	if *update {
		if err := os.WriteFile(openapiFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(openapiFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(want)); diff != "" {
		t.Errorf("docs/openapi.json is not what the types say; run go test -update: %s", diff)
	}
}

// Every route is in the description and in docs/api.md, and nothing else is.
func TestEveryRouteIsDescribed(t *testing.T) {
	var served, described []string
	for _, rt := range routes() {
		served = append(served, rt.method+" "+rt.path)
	}
	for _, op := range operations() {
		described = append(described, op.route)
	}
	slices.Sort(served)
	slices.Sort(described)
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("served, but not described (-), or the other way (+):\n%s", diff)
	}
	page, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for line := range strings.Lines(string(page)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "### `"); ok {
			headings = append(headings, strings.TrimSuffix(text, "`"))
		}
	}
	slices.Sort(headings)
	if diff := cmp.Diff(served, headings); diff != "" {
		t.Errorf("served, but no heading in docs/api.md (-), or the other way (+):\n%s", diff)
	}
}

// Answers of every route, of a real supervisor, are as described.
func TestAnswersAreAsDescribed(t *testing.T) {
	proctest.CheckLeaks(t)
	var doc object
	data, err := os.ReadFile(openapiFile)
	if err == nil {
		err = json.Unmarshal(data, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := startSupervisor(t, shortDir(t), nil)
	f := &fixture{socket: s.paths.Socket()}
	crash := `{"name": "crash", "command": ["sh", "-c", "echo oops; exit 7"], "ready": "settle:20s", "restart": "no"}`
	left := map[string]bool{}
	for _, rt := range routes() {
		left[rt.method+" "+rt.path] = true
	}
	for _, tt := range []struct {
		route, path, body string
		status            int
	}{
		{"POST /v1/apply", "", `{"services": [{"name": "web", "command": "sleep 1000", "description": "x", "labels": {"a": "b"}}, ` + crash + `]}`, 409},
		{"POST /v1/apply", "", `{"services": [{"name": "web", "command": "sleep 1000", "autostart": false}], "plan": true}`, 200},
		{"POST /v1/apply", "", `{"services": [], "source": "x", "plan": true}`, 200},
		{"POST /v1/apply", "", `{"services": [], "source": "x"}`, 200},
		{"POST /v1/apply", "", `{"services": [{"name": "a/b", "command": "x"}]}`, 422},
		{"GET /v1/supervisor", "", "", 200},
		{"GET /v1/services", "/v1/services?usage=1&spec=1", "", 200},
		{"GET /v1/services", "/v1/services?name=wbe", "", 404},
		{"GET /v1/services/{name}", "/v1/services/web?usage=1", "", 200},
		{"GET /v1/services/{name}", "/v1/services/crash", "", 200},
		{"GET /v1/services/{name}/spec", "/v1/services/web/spec", "", 200},
		{"GET /v1/services/{name}/logs", "/v1/services/crash/logs", "", 200},
		{"GET /v1/services/{name}/logs", "/v1/services/crash/logs?stream=err", "", 409},
		{"POST /v1/services/start", "", `{"names": ["crash"]}`, 409},
		{"GET /v1/health", "", "", 503},
		{"POST /v1/services/remove", "", `{"names": ["crash"]}`, 200},
		{"GET /v1/health", "", "", 200},
		{"POST /v1/services/start", "", `{"names": ["web"]}`, 200},
		{"POST /v1/services/restart", "", `{"names": ["web"]}`, 200},
		{"POST /v1/services/reload", "", `{"names": ["web"]}`, 409},
		{"POST /v1/services/signal", "", `{"names": ["web"], "signal": "CONT"}`, 200},
		{"POST /v1/services/reopen", "", `{"names": ["web"]}`, 200},
		{"POST /v1/services/wait", "",
			`{"names": ["web"], "state": "ready", "timeout": "10s"}`, 200},
		{"POST /v1/services/wait", "",
			`{"names": ["web"], "state": "stopped", "timeout": "10ms"}`, 504},
		{"POST /v1/services/stop", "", `{"all": true}`, 200},
		{"GET /v1/events", "", "", 200},
		{"GET /metrics", "", "", 200},
		{"POST /v1/upgrade", "", `{"program": "/nonexistent/daemonry"}`, 409},
		{"POST /v1/shutdown", "", `{}`, 200},
	} {
		method, path, _ := strings.Cut(tt.route, " ")
		op := doc["paths"].(object)[path].(object)[strings.ToLower(method)].(object)
		if tt.path != "" {
			path = tt.path
		}
		delete(left, tt.route)
		status, body, header := f.ask(t, method, path, tt.body)
		if status != tt.status {
			t.Errorf("%s %s: status %d, want %d: %s", tt.route, tt.body, status, tt.status, body)
		}
		v := &validator{schemas: doc["components"].(object)["schemas"].(object)}
		v.answer(op, status, header.Get("Content-Type"), body)
		for _, p := range v.problems {
			t.Errorf("%s: %s\n%s", tt.route, p, body)
		}
	}
	for rt := range left {
		t.Errorf("%s was not asked", rt)
	}
}

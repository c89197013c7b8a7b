package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/spec"
)

// The documents that are made from the code: -update writes them anew.
const (
	schemaFile = "../../../../docs/daemonry.schema.json"
	fieldsFile = "../../../../docs/service.md"
)

// helpFile has the help pages.
const helpFile = "../../../../docs/cli.md"

// schemas are the forms of types that are no plain Go.
var schemas = map[reflect.Type]map[string]any{
	reflect.TypeFor[spec.Duration](): text(
		"a duration such as 300ms, 1.5s or 2h30m, or forever",
		`^(forever|0|([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+)$`,
	),
	reflect.TypeFor[spec.Mode]():  text("an octal mode such as 0640", `^(0o)?[0-7]{1,5}$`),
	reflect.TypeFor[spec.Probe](): probeSchema(),
	reflect.TypeFor[spec.Stream](): text("null, log, inherit, stdout, PATH or truncate:PATH",
		`.`),
	reflect.TypeFor[spec.Address](): text("NETWORK:ADDRESS",
		`^(tcp|udp|unix|unixgram|unixpacket|fifo):.+$`),
	reflect.TypeFor[spec.LogTarget](): text("a target for output",
		`^(file|journald|syslog|stdout|none|(syslog|pipe):.+)$`),
	reflect.TypeFor[spec.Rate](): text("EVENTS/DURATION", `^[0-9]+/.+$`),
	reflect.TypeFor[spec.Schedule](): text("five fields as in crontab, or @daily",
		`^(@[a-z]+|\S+(\s+\S+){4})$`),
	reflect.TypeFor[spec.ByteSize](): either(
		text("a size such as 64MiB or 10MB", `^[0-9.]+ ?([KMGTPE]i?|k)?B$`), whole("bytes"),
	),
	reflect.TypeFor[spec.Rlimit](): either(
		text("SOFT[:HARD], each a number, a size or unlimited", `^[^:]+(:[^:]+)?$`),
		whole("both limits"),
	),
	reflect.TypeFor[spec.Signal](): either(
		text("the name of a signal", `^[A-Za-z]+[0-9]*([+-][0-9]+)?$`),
		whole("its number on Linux"),
	),
	reflect.TypeFor[spec.Command](): either(
		text("program and arguments, split like a shell would", `\S`),
		array(text("one argument", ``)),
	),
	reflect.TypeFor[spec.StopSchedule](): either(text("SIGNAL[/WAIT]…", `^\S+$`),
		array(text("SIGNAL[/WAIT]", `^\S+$`))),
	reflect.TypeFor[spec.ExitSet](): array(either(whole("an exit code"),
		text("the name of a signal", `^[A-Za-z]`))),
}

func probeSchema() map[string]any {
	forms := spec.ProbeForms()
	var alone, more []string
	for _, form := range forms {
		if kind, _, ok := strings.Cut(form, ":"); ok {
			more = append(more, strings.Replace(kind, "http", "https?", 1))
		} else {
			alone = append(alone, form)
		}
	}
	last := len(forms) - 1
	return text(strings.Join(forms[:last], ", ")+" or "+forms[last],
		"^("+strings.Join(alone, "|")+"|("+strings.Join(more, "|")+"):.+)$")
}

// TestReadinessIsTold: the help page of detach says what each way to be ready means.
func TestReadinessIsTold(t *testing.T) {
	text, err := os.ReadFile(helpFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range spec.ProbeForms() {
		if !strings.Contains(string(text), "| `"+form+"` | ") {
			t.Errorf("%s has no word about %s", helpFile, form)
		}
	}
}

func text(title, pattern string) map[string]any {
	s := map[string]any{"type": "string", "title": title}
	if pattern != "" {
		// ${NAME} may stand for any of it.
		s["pattern"] = pattern + `|\$\{`
	}
	return s
}

func whole(title string) map[string]any { return map[string]any{"type": "integer", "title": title} }

func array(items map[string]any) map[string]any {
	return map[string]any{"type": "array", "items": items}
}

func either(forms ...map[string]any) map[string]any { return map[string]any{"anyOf": forms} }

// schemaOf returns the JSON schema of a type.
func schemaOf(t *testing.T, typ reflect.Type, docs comments) map[string]any {
	t.Helper()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if s, ok := schemas[typ]; ok {
		return s
	}
	if e, ok := reflect.Zero(typ).Interface().(interface{ Values() []string }); ok {
		return map[string]any{"enum": e.Values()}
	}
	switch typ.Kind() {
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		eachKey(typ, func(owner reflect.Type, f reflect.StructField, key string) {
			s := map[string]any{}
			for name, value := range schemaOf(t, f.Type, docs) {
				s[name] = value
			}
			s["description"] = docs[owner.Name()+"."+f.Name]
			properties[key] = s
			if !strings.Contains(f.Tag.Get("json"), ",omitzero") {
				required = append(required, key)
			}
		})
		s := map[string]any{
			"type": "object", "properties": properties, "additionalProperties": false,
		}
		if len(required) > 0 {
			s["required"] = required
		}
		return s
	case reflect.Map:
		s := map[string]any{"type": "object", "additionalProperties": schemaOf(t, typ.Elem(), docs)}
		if typ.Key() == reflect.TypeFor[spec.RlimitName]() {
			s["propertyNames"] = map[string]any{
				"pattern": "(?i)^(rlimit_)?(" + joinNames(spec.RlimitNames()) + ")$",
			}
		}
		return s
	case reflect.Slice:
		return array(schemaOf(t, typ.Elem(), docs))
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	t.Fatalf("no schema for %s", typ)
	return nil
}

func joinNames(names []spec.RlimitName) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = string(name)
	}
	return strings.Join(parts, "|")
}

// eachKey calls f for the fields that a file can set, embedded structs taken
// apart.
func eachKey(typ reflect.Type, f func(owner reflect.Type, field reflect.StructField, key string)) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		if field.Anonymous {
			eachKey(field.Type, f)
			continue
		}
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if typ != serviceType || !slices.Contains(notForPeople, key) {
			f(typ, field, key)
		}
	}
}

// keysByName maps Go names to keys, for the comments.
func keysByName() map[string]string {
	keys := map[string]string{}
	for _, typ := range []reflect.Type{
		serviceType, reflect.TypeFor[spec.Backoff](), reflect.TypeFor[spec.Budget](),
		reflect.TypeFor[spec.Liveness](), reflect.TypeFor[spec.Limits](),
		reflect.TypeFor[spec.Log](), reflect.TypeFor[spec.Socket](),
		reflect.TypeFor[spec.Sandbox](), reflect.TypeFor[Supervisor](),
	} {
		eachKey(typ, func(_ reflect.Type, f reflect.StructField, key string) { keys[f.Name] = key })
	}
	return keys
}

func TestSchema(t *testing.T) {
	docs := readComments(t, keysByName(), "../../../../spec", ".")
	service := schemaOf(t, serviceType, docs)
	defaults := map[string]any{}
	for name, value := range service {
		defaults[name] = value
	}
	delete(defaults, "required")
	schema := map[string]any{
		"$schema":              "http://json-schema.org/draft-07/schema#",
		"title":                "daemonry.toml",
		"type":                 "object",
		"additionalProperties": false,
		"properties": map[string]any{
			"include": map[string]any{"type": "array", "items": map[string]any{"type": "string"},
				"description": "Paths or globs of files to read too, relative to this one."},
			"defaults": defaults,
			"service": map[string]any{"type": "object",
				"additionalProperties": false, "patternProperties": map[string]any{
					`^[A-Za-z0-9_@][A-Za-z0-9_.@-]{0,63}$`: service,
				}},
			"supervisor": schemaOf(t, reflect.TypeFor[Supervisor](), docs),
		},
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	compareFile(t, schemaFile, b.String())
}

// compareFile compares, or with -update writes, a document.
func compareFile(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s is not what the code says; go test -update writes it anew:\n%s", path, d)
	}
}

// sections are the tables of docs/service.md.
var sections = []struct {
	heading string
	typ     reflect.Type
}{
	{"`[service.NAME]`", serviceType},
	{"The process", reflect.TypeFor[spec.Process]()},
	{"Restart, stop and reload", reflect.TypeFor[spec.Supervision]()},
	{"`[service.NAME.backoff]`", reflect.TypeFor[spec.Backoff]()},
	{"`[service.NAME.budget]`", reflect.TypeFor[spec.Budget]()},
	{"`[service.NAME.liveness]`", reflect.TypeFor[spec.Liveness]()},
	{"`[service.NAME.log]`", reflect.TypeFor[spec.Log]()},
	{"`[[service.NAME.sockets]]`", reflect.TypeFor[spec.Socket]()},
	{"`[service.NAME.limits]`", reflect.TypeFor[spec.Limits]()},
	{"`[service.NAME.sandbox]`", reflect.TypeFor[spec.Sandbox]()},
	{"`[supervisor]`", reflect.TypeFor[Supervisor]()},
}

// The page's tables are made from the comments in the code, its examples parse.
func TestServicePage(t *testing.T) {
	const begin, end = "<!-- from the code: begin -->\n", "<!-- from the code: end -->\n"
	page, err := os.ReadFile(fieldsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost its marks", fieldsFile)
	}
	docs := readComments(t, keysByName(), "../../../../spec", ".")
	var b strings.Builder
	b.WriteString("### A probe\n\n| probe | it says yes when |\n|---|---|\n")
	for _, form := range spec.ProbeForms() {
		kind, _, _ := strings.Cut(form, ":")
		doc := docs["ProbeKind."+kind]
		if doc == "" {
			t.Errorf("the constant for %q has no comment", kind)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", form, doc)
	}
	b.WriteByte('\n')
	for _, section := range sections {
		fmt.Fprintf(&b, "### %s\n\n| key | meaning |\n|---|---|\n", section.heading)
		eachKey(section.typ, func(owner reflect.Type, f reflect.StructField, key string) {
			if owner != section.typ {
				return // has a section of its own
			}
			doc := docs[owner.Name()+"."+f.Name]
			if doc == "" {
				t.Errorf("%s.%s has no comment", owner.Name(), f.Name)
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", key, strings.ReplaceAll(doc, "|", `\|`))
		})
		b.WriteByte('\n')
	}
	compareFile(t, fieldsFile, before+begin+b.String()+end+after)
}

// TestPages: every toml of the documentation is a file that the reader takes.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../../../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	block, examples := regexp.MustCompile("(?s)```toml\n(.*?)```"), 0
	for _, name := range append(pages, "../../../../README.md") {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range block.FindAllStringSubmatch(string(page), -1) {
			examples++
			_, err := parse("/srv/daemonry.toml", []byte(example[1]), testEnv, noFiles{})
			if err != nil {
				t.Errorf("%s:\n%s%v", name, example[1], err)
			}
		}
	}
	if examples < 5 {
		t.Errorf("only %d examples", examples)
	}
}

// The schema's patterns let through what the reader takes in the test files.
func TestSchemaTakesGoodFiles(t *testing.T) {
	for typ, schema := range schemas {
		pattern, ok := schema["pattern"].(string)
		if !ok {
			continue
		}
		for _, sample := range samples[typ.Name()] {
			if !regexp.MustCompile(pattern).MatchString(sample) {
				t.Errorf("%s: %q does not match %s", typ.Name(), sample, pattern)
			}
		}
		if len(samples[typ.Name()]) == 0 {
			t.Errorf("no samples of %s", typ.Name())
		}
	}
}

var samples = map[string][]string{
	"Duration": {"0s", "1.5s", "1h30m", "forever", "${D}"},
	"Mode":     {"0640", "0", "0o22"},
	"Probe": {"exec", "settle:1s", "http://h/", "https://h/", "http:http://h", "log:^x$",
		"fd:3", "unix:@x", "tcp:${H}:80"},
	"Stream":    {"null", "/x", "truncate:x"},
	"Address":   {"tcp::80", "unixpacket:/x", "fifo:x"},
	"LogTarget": {"file", "syslog", "syslog:udp:h:1", "pipe:a b"},
	"Rate":      {"10/1s", "10/s"},
	"Schedule":  {"@daily", "*/5 * * * mon-fri"},
}

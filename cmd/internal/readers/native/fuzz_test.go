package native

import (
	"encoding"
	"encoding/json"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/spec"
)

// noFiles is a disk without files.
type noFiles struct{}

func (noFiles) glob(string) ([]string, error) { return nil, nil }
func (noFiles) read(path string) ([]byte, error) {
	return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.toml", "testdata/bad/*.toml"} {
		paths, err := fs.Glob(os.DirFS("."), pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parse("/srv/daemonry.toml", data, testEnv, noFiles{})
		if (file == nil) != (err != nil) {
			t.Fatalf("got %v and %v", file, err)
		}
		if err != nil {
			for _, e := range err.(Errors) {
				if e.Line < 1 || e.Col < 1 || e.Message == "" || e.File == "" {
					t.Errorf("an error without place or message: %+v", e)
				}
			}
			return
		}
		if problems := spec.ValidateSet(file.Services); problems != nil {
			t.Errorf("accepted, but %v", problems)
		}
		checkFormat(t, file.Services)
	})
}

// fatalf is what [testing.T] and [rapid.T] have.
type fatalf interface {
	Helper()
	Fatalf(string, ...any)
}

// checkFormat formats services and reads them back.
func checkFormat(t fatalf, services []spec.Service) {
	t.Helper()
	text, err := Format(services)
	if err != nil {
		t.Fatalf("format: %v", err)
	}
	again, err := parse("/srv/daemonry.toml", text,
		Options{LookupEnv: func(string) (string, bool) { return "", false }}, noFiles{})
	if err != nil {
		t.Fatalf("what Format wrote is refused: %v\n%s", err, text)
	}
	// JSON does not tell nil from empty where the difference means nothing.
	want, got := asJSON(t, services), asJSON(t, again.Services)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("round trip (- before, + after):\n%s\n%s", d, text)
	}
}

func asJSON(t fatalf, services []spec.Service) string {
	t.Helper()
	data, err := json.MarshalIndent(services, "", " ")
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return string(data)
}

func TestFormat(t *testing.T) {
	file, err := Read("testdata/good/everything.toml", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	checkFormat(t, file.Services)
	text, err := Format(file.Services)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/format.golden", string(text))
}

// What TOML cannot hold is refused, not changed.
func TestFormatNotUTF8(t *testing.T) {
	const bad = "a\xff"
	for _, s := range []spec.Service{
		{Command: spec.Command{"x", bad}},
		{Command: spec.Command{"x"}, Process: spec.Process{Env: map[string]string{"A": bad}}},
		{Command: spec.Command{"x"}, Process: spec.Process{Env: map[string]string{bad: "A"}}},
		{Command: spec.Command{"x"},
			Sockets: []spec.Socket{{Listen: spec.Address{Network: spec.NetUnix, Addr: bad}}}},
	} {
		s.Name = "x"
		text, err := Format([]spec.Service{s})
		if err == nil || !strings.Contains(err.Error(), "is not UTF-8") {
			t.Errorf("%q, %v", text, err)
		}
	}
}

// Any text comes back as it was from where services keep texts.
func TestFormatTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// NUL and invalid UTF-8 are refused on the way, by spec and TOML.
		text := rapid.StringOf(
			rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != '\ufffd' }),
		)
		name := rapid.StringMatching(`[a-z][-_.@a-z0-9]{0,20}`)
		env := rapid.StringMatching(`[^=\x00\n]{1,10}`)
		s := spec.Service{
			Name:    name.Draw(t, "name"),
			Command: append(spec.Command{"./x"}, rapid.SliceOf(text).Draw(t, "args")...),
		}
		s.Env = rapid.MapOf(env, text).Draw(t, "env")
		s.Labels = rapid.MapOf(
			env, text.Filter(func(s string) bool { return !strings.Contains(s, "\n") }),
		).Draw(t, "labels")
		s.Log.Mask = []string{`a$$b\$`}
		s.Ready = spec.Probe{Kind: spec.ProbeCmd, Target: s.Command.String()}
		s = s.Resolve("/srv")
		checkFormat(t, []spec.Service{s})
	})
}

// Every field of a service can be read: the decoder knows a form for its type.
func TestDecoderKnowsEveryType(t *testing.T) {
	var check func(path string, v reflect.Value)
	check = func(path string, v reflect.Value) {
		var errs Errors
		d := &decoder{testEnv.LookupEnv, &errs, map[string]bool{}, fieldIndexes{}}
		// An empty table is wrong for most, but must not panic.
		d.decode(&node{table: map[string]*node{}}, path, v)
		_, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
		_, isJSON := v.Addr().Interface().(json.Unmarshaler)
		if v.Kind() == reflect.Struct && !isText && !isJSON {
			for i := range v.NumField() {
				if v.Field(i).CanSet() {
					check(path+"."+v.Type().Field(i).Name, v.Field(i))
				}
			}
		}
	}
	check("service", reflect.ValueOf(&spec.Service{}).Elem())
	check("supervisor", reflect.ValueOf(&Supervisor{}).Elem())
}

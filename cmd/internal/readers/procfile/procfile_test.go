package procfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/spec"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	env := write(t, dir, ".env", "SECRET=x\nPORT=3000\n")
	services, notes, err := Read(write(t, dir, "Procfile", `
# comment
web:     bundle exec "thin start" -p $PORT
worker: ./worker --queue 'a b'
pipe: a | b
vars: RAILS_ENV=production rake
release: ./migrate
execs: exec bundle exec puma
moves: cd app
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name    string
		command spec.Command
		port    string
		stopTo  spec.StopTo
	}{
		{"web",
			spec.Command{"/bin/sh", "-c", `exec bundle exec "thin start" -p $PORT`}, "3000", ""},
		{"worker", spec.Command{"./worker", "--queue", "a b"}, "3100", ""},
		{"pipe", spec.Command{"/bin/sh", "-c", "a | b"}, "3200", spec.StopAll},
		{"vars", spec.Command{"/bin/sh", "-c", "RAILS_ENV=production rake"}, "3300", spec.StopAll},
		{"release", spec.Command{"./migrate"}, "3400", ""},
		{"execs", spec.Command{"/bin/sh", "-c", "exec bundle exec puma"}, "3500", ""},
		{"moves", spec.Command{"/bin/sh", "-c", "cd app"}, "3600", spec.StopAll},
	}
	if len(services) != len(want) {
		t.Fatalf("%d services", len(services))
	}
	for i, w := range want {
		s := services[i]
		if s.Name != w.name || s.Env["PORT"] != w.port || s.StopTo != w.stopTo || s.Chdir != dir ||
			s.EnvFile[0] != env {
			t.Errorf("got %+v", s)
		}
		if d := cmp.Diff(w.command, s.Command); d != "" {
			t.Error(d)
		}
	}
	if len(notes) != 1 || notes[0].Line != 7 || services[4].Type != spec.Oneshot {
		t.Errorf("release: %v, %+v", notes, services[4])
	}
}

func TestReadWithoutEnv(t *testing.T) {
	services, _, err := Read(write(t, t.TempDir(), "Procfile", "web: x"))
	if err != nil || services[0].EnvFile != nil || services[0].Env["PORT"] != "5000" {
		t.Errorf("got %+v, %v", services, err)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"": "/p:1: there is no line NAME: COMMAND",
		"web\nworker:\n": "/p:1: \"web\" is not NAME: COMMAND\n" +
			"/p:2: \"worker:\" is not NAME: COMMAND",
		"a: x\na: y": `/p:2: there are two lines "a"`,
		"a b: x":     `/p:1: "a b" is not the name of a service`,
		"a: x\x00":   "/p:1: the command contains a NUL",
		"a: ''":      "a: command: there is no program to run",
	} {
		_, _, err := parse("/p", text, "", "")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, _, err := parse("/p", "a: x", "/.env", "A\n"); err == nil ||
		!strings.HasPrefix(err.Error(), "/.env: line 1: ") {
		t.Errorf("bad .env: %v", err)
	}
	if _, _, err := parse("/p", "a: x", "/.env", "PORT=http\n"); err == nil ||
		!strings.Contains(err.Error(), "not a port") {
		t.Errorf("bad port: %v", err)
	}
	if _, _, err := Read(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("web: bundle exec thin -p $PORT\n# x\nworker: 'a b' | c\n", "PORT=1")
	f.Fuzz(func(t *testing.T, text, env string) {
		services, _, err := parse("/srv/Procfile", text, "/srv/.env", env)
		if err != nil {
			return
		}
		if len(services) == 0 {
			t.Error("neither services nor an error")
		}
		if p := spec.ValidateSet(services); p != nil {
			t.Errorf("accepted, but %v", p)
		}
	})
}

func TestTooManyLines(t *testing.T) {
	_, _, err := Read(write(t, t.TempDir(), "Procfile", "a: b\n"+strings.Repeat("b: c\n", 100_000)))
	if err == nil ||
		!strings.Contains(err.Error(), "Procfile:1002: more than 1000 lines NAME: COMMAND") ||
		strings.Count(err.Error(), "\n") > 1001 {
		t.Errorf("%.300v", err)
	}
}

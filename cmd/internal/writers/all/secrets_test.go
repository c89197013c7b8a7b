package all

import (
	"bytes"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Values of the environment are in files that their owner alone may read, in every format, and in
// no argument of a command, which ps(1) shows to everybody for as long as it runs.
func TestSecretsAreClosed(t *testing.T) {
	const secret = "hunter2"
	s := spec.Service{Name: "app", Command: spec.Command{"/usr/bin/app"}}
	s.Env = map[string]string{"TOKEN": secret}
	once := s
	once.Name, once.Type = "once", spec.Oneshot
	for _, name := range Names() {
		target, ok := Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		out, err := target.Render([]spec.Service{s, once}, writers.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		held := false
		for _, f := range out.Files {
			if name == "supervisord" && strings.Contains(string(f.Content),
				"\ncommand=/bin/sh -c 'eval \"$(printf %%b \"$body\")\"'\n") {
				f.Content = append(f.Content, secret...) // it is written in octal
			}
			if !bytes.Contains(f.Content, []byte(secret)) {
				continue
			}
			held = true
			if f.Mode.Perm()&0o077 != 0 {
				t.Errorf("%s: %s has the value of a variable, and mode %#o", name, f.Path, f.Mode)
			}
			if strings.Contains(string(f.Content), `-c "$body"`) {
				t.Errorf("%s: %s passes the value on as an argument", name, f.Path)
			}
			if name == "systemd" && !strings.HasSuffix(f.Path, ".env") {
				t.Errorf("%s: %s is a unit, of which systemctl show tells everything", name, f.Path)
			}
		}
		if !held {
			t.Errorf("%s: the value is nowhere", name)
		}
	}
}

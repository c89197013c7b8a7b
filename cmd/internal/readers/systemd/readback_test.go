package systemd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	writer "github.com/daemonry/daemonry/internal/writers/systemd"
	"github.com/daemonry/daemonry/spec"
)

// nasty are texts that formats mangle.
var nasty = []string{
	"", " ", "a b", "'", `"`, `\`, `\\n`, "a\nb", "tab\there", "%", "%n %% %i",
	"$", "$HOME ${HOME} $$", ";", "# x", "; y",
	"é ☃ 𝄞", "\x01\x7f", strings.Repeat("x\"'$% ", 700), "-", "@x", "+x", "a=b", "~", "*", "`id`",
	"\r\n", "trailing\\",
}

func nastyService() spec.Service {
	s := spec.Service{
		Name:    "nasty",
		Command: append(spec.Command{"/bin/echo"}, nasty...),
		Process: spec.Process{Env: map[string]string{}},
	}
	for i, text := range nasty {
		s.Env[fmt.Sprintf("V%d", i)] = text
	}
	return s
}

// rendered writes a service and returns its files.
func rendered(s spec.Service) (map[string]string, error) {
	out, err := writer.Target().Render([]spec.Service{s}, writers.Options{})
	files := map[string]string{}
	for _, f := range out.Files {
		files[f.Path] = string(f.Content)
	}
	return files, err
}

// TestReadBack: our own reader, which follows systemd.syntax(7), gets back what
// was written.
func TestReadBack(t *testing.T) {
	s := nastyService()
	out, err := rendered(s)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Parse("nasty.service", out["nasty.service"])
	if err != nil {
		t.Fatal(err)
	}
	vars, err := spec.ParseEnv(out["nasty.env"])
	if err != nil || !slices.Equal(got.EnvFile, []string{"/etc/systemd/system/nasty.env"}) ||
		len(got.Env) > 0 {
		t.Errorf("%v, env_file %q, env %q", err, got.EnvFile, got.Env)
	}
	got.Env = map[string]string{}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		got.Env[name] = value
	}
	if !slices.Equal(got.Command, s.Command) {
		t.Errorf("command:\n got %q\nwant %q", got.Command, s.Command)
	}
	if !maps.Equal(got.Env, s.Env) {
		t.Errorf("env:\n got %q\nwant %q", got.Env, s.Env)
	}
}

func FuzzReadBack(f *testing.F) {
	for _, text := range nasty {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := spec.Service{Name: "x", Command: spec.Command{"/bin/echo", text, text}}
		out, err := rendered(s)
		if err != nil {
			if s.Validate() == nil {
				t.Fatal(err)
			}
			return
		}
		got, _, err := Parse("x.service", out["x.service"])
		if err != nil || !slices.Equal(got.Command, s.Command) {
			t.Fatalf("got %q, %v\nwant %q", got.Command, err, s.Command)
		}
	})
}

package boottest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/spec"
)

// nasty are texts that some format, shell or init system mangles.
var nasty = []string{
	"", " ", "a b", "  two  ", "tab\there", "'", `it's`, `"`, `say "hi"`, `\`,
	`\\n \x41 \u0041 \101`, `trailing\`, "a\nb", "\n", "\r\n", "ends\n",
	"%", "%%", "%n %i %h %u %% %", "$", "$$", "$HOME ${HOME} $$ $(id) $1", "`id`", ";", "a ; b",
	"# x", "a#b", "!", "!!", "&", "|", "<x>", "(x)", "[x]", "{a,b}",
	"*", "?", "~", "~root", "-", "--", "-n", "@x", "+x", ":x", "=", "a=b", "é ☃ 𝄞",
	"ÿ\u00a0\u0085\u2028\ufeff", "\x01\x1b\x7f", "/dev/null", "true", "0", ",", "^",
	strings.Repeat("x", 4096), strings.Repeat("x\"'$% \\\n", 512),
}

// nastyService has all of them as arguments and as values of variables, and a
// program whose name is not better.
func nastyService(m *machine, name string) (s spec.Service, program string) {
	program = `it's "a" 100% $HOME \n é☃ prog;` + name
	s = spec.Service{
		Name: name, Command: append(spec.Command{m.addProbe(program)}, nasty...),
		Process: spec.Process{Env: map[string]string{}}, Ready: spec.Probe{Kind: spec.ProbeExec},
	}
	for i, text := range nasty {
		s.Env[fmt.Sprintf("V%d", i)] = text
	}
	return s, program
}

// toml writes services as a person would. The texts and arrays of JSON are
// those of TOML too; "$" is doubled, for the file is expanded.
func toml(t *testing.T, services ...spec.Service) string {
	t.Helper()
	text := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer("$", "$$", "\x7f", `\u007f`).Replace(string(data))
	}
	var b strings.Builder
	for _, s := range services {
		fmt.Fprintf(&b, "[service.%s]\ncommand = %s\nready = %s\ntimeout = %q\n",
			s.Name, text([]string(s.Command)), text(s.Ready.String()), patience)
		fmt.Fprintf(&b, "[service.%s.env]\n", s.Name)
		for name, value := range s.Env {
			fmt.Fprintf(&b, "%s = %s\n", name, text(value))
		}
	}
	return b.String()
}

// arrived compares how a service was born with what it was to be.
func arrived(t *testing.T, b birth, s spec.Service) {
	t.Helper()
	if len(b.Args) != len(s.Command) {
		t.Errorf("%d arguments arrived, want %d", len(b.Args), len(s.Command))
	}
	for i := range min(len(b.Args), len(s.Command)) {
		if got := string(b.Args[i]); got != s.Command[i] {
			t.Errorf("argument %d:\n got %.200q\nwant %.200q", i, got, s.Command[i])
		}
	}
	env := map[string][]string{}
	for _, variable := range b.Env {
		name, value, _ := strings.Cut(string(variable), "=")
		env[name] = append(env[name], value)
	}
	for name, want := range s.Env {
		if got := env[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("variable %s:\n got %.200q\nwant %.200q", name, got, want)
		}
	}
}

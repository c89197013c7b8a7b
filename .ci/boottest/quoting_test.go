package boottest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/all"
	"github.com/daemonry/daemonry/spec"
)

// nasty are texts that some format, shell or init system mangles.
var nasty = []string{
	"", " ", "a b", "  two  ", "tab\there", "'", `it's`, `"`, `say "hi"`, `\`, `\\n \x41 \u0041 \101`, `trailing\`, "a\nb", "\n", "\r\n", "ends\n",
	"%", "%%", "%n %i %h %u %% %", "$", "$$", "$HOME ${HOME} $$ $(id) $1", "`id`", ";", "a ; b", "# x", "a#b", "!", "!!", "&", "|", "<x>", "(x)", "[x]", "{a,b}",
	"*", "?", "~", "~root", "-", "--", "-n", "@x", "+x", ":x", "=", "a=b", "é ☃ 𝄞", "ÿ\u00a0\u0085\u2028\ufeff", "\x01\x1b\x7f", "/dev/null", "true", "0", ",", "^",
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

// render writes the files of a target into the tree.
func (m *machine) render(target string, s spec.Service) {
	m.t.Helper()
	tgt, ok := all.Lookup(target)
	if !ok {
		m.t.Fatalf("there is no target %q", target)
	}
	out, err := tgt.Render([]spec.Service{s}, writers.Options{})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, note := range out.Notes {
		m.t.Log(note)
	}
	for _, f := range out.Files {
		m.write(filepath.Join(tgt.Dir, f.Path), string(f.Content), f.Mode)
	}
}

// TestQuoting: under each init system what a service says arrives in its
// program byte for byte.
func TestQuoting(t *testing.T) {
	for _, test := range []struct {
		system *system
		target string
		enable []string
	}{
		{systemdSystem, "systemd", []string{"systemctl", "enable", "nasty.service"}},
		{sysvSystem, "sysv", []string{"update-rc.d", "nasty", "defaults"}},
		{openrcSystem, "openrc", []string{"rc-update", "add", "nasty", "default"}},
		{runitSystem, "runit", []string{"ln", "-s", "/etc/sv/nasty", "/etc/service/nasty"}},
	} {
		t.Run(test.target, func(t *testing.T) {
			m := newMachine(t, test.system)
			s, program := nastyService(m, "nasty")
			m.render(test.target, s)
			m.boot()
			m.run(test.enable...)
			m.reboot()
			arrived(t, m.born(program), s)
		})
	}
}

package all

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// nastyWords are texts that a shell mangles.
var nastyWords = []string{
	"", " ", "a  b\t", "'", "''", `"`, `\`, `\n`, "a\nb\n", "%s",
	"$HOME ${HOME} $$ $(id)", ";", "# x", "é ☃ 𝄞", "\x01\x7f\x81\x88\xff",
	strings.Repeat("x\"'$% \\", 600), "-n", "--", "~", "*", "`id`", "\r\n", `trailing\`,
	"a=b", "!", "{a,b}",
}

func nastyCommand() spec.Command { return append(spec.Command{"/bin/echo"}, nastyWords...) }

// TestSyntax: every script of every target is one for dash and for bash.
func TestSyntax(t *testing.T) {
	s := spec.Service{
		Name: "web", Command: append(spec.Command{"./web"},
			nastyWords...), Requires: []string{"db"}, Wants: []string{"cache"},
		Process: spec.Process{
			User: "www:web", Groups: []string{"adm"}, Chdir: "/srv/it's",
			EnvFile: []string{"-/etc/x y"}, Env: map[string]string{"A": "'", "a.b": "'"},
			Rlimit: map[spec.RlimitName]spec.Rlimit{"nproc": {Soft: 1, Hard: 2}}, Nice: new(3),
			OOMScore: new(3), Cap: []string{"chown"}, NoNewPrivs: true,
		},
		Supervision: spec.Supervision{
			Success:     spec.ExitSet{Codes: []int{3}, Signals: []spec.Signal{"TERM"}},
			Stop:        spec.StopSchedule{{Signal: "INT"}},
			StopCommand: nastyCommand(), Reload: "USR1",
		},
		Ready: spec.Probe{Kind: spec.ProbeFile, Target: "/run/it's up"}, Autostart: new(false),
	}
	oneshot, again := s.Clone(), s.Clone()
	oneshot.Name, oneshot.Type, oneshot.Ready = "once", spec.Oneshot, spec.Probe{}
	again.Name, again.Reload, again.ReloadCommand = "again", "", nastyCommand()
	for _, target := range Targets() {
		services := []spec.Service{s, oneshot, again}
		if target.Name == "kubernetes" || target.Name == "nomad" || target.Name == "launchd" {
			continue // are no scripts, and cannot hold every byte
		}
		out, err := target.Render(services, writers.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Files {
			if !strings.HasPrefix(string(f.Content), "#!") {
				continue
			}
			for _, sh := range []string{"/bin/sh", "/bin/bash"} {
				cmd := exec.Command(sh, "-n")
				cmd.Stdin = strings.NewReader(string(f.Content))
				if message, err := cmd.CombinedOutput(); err != nil || len(message) > 0 {
					t.Errorf("%s: %s: %s: %v: %s", sh, target.Name, f.Path, err, message)
				}
			}
		}
	}
}

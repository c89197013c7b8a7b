package systemd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

func rendered(t testing.TB, opts writers.Options, services ...spec.Service) writers.Output {
	t.Helper()
	out, err := Target().Render(services, opts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func unitOf(t testing.TB, out writers.Output, name string) string {
	t.Helper()
	for _, f := range out.Files {
		if f.Path == name {
			return string(f.Content)
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

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

// TestOddProgram: systemd refuses to execute a path with quotes, whatever is
// around it, so a shell does; words that only need quotes of ours go without.
func TestOddProgram(t *testing.T) {
	for _, test := range []struct{ program, want string }{
		{"/opt/a b%n;$x/prog", `ExecStart=:"/opt/a b%%n;$x/prog" "$1"`},
		{"/opt/it's/prog", `ExecStart=:/bin/sh -c "exec \"$0\" \"$@\"" "/opt/it's/prog" "$1"`},
	} {
		s := spec.Service{Name: "odd", Command: spec.Command{test.program, "$1"}}
		unit := unitOf(t, rendered(t, writers.Options{}, s), "odd.service")
		if !strings.Contains(unit, "\n"+test.want+"\n") {
			t.Errorf("%s: want %s in\n%s", test.program, test.want, unit)
		}
	}
}

// everything is a service that uses most of what systemd has.
func everything() spec.Service {
	return spec.Service{
		Name: "all", Description: `50% of "all" \o/`, Command: spec.Command{"/bin/sleep", "$x %h"},
		Process: spec.Process{
			User: "daemon:daemon", Groups: []string{"adm"}, Chdir: "/var/lib",
			Env:     map[string]string{"A": "b c"},
			EnvFile: []string{"-/etc/default/x"},
			Stdin:   spec.Stream{Kind: spec.StreamPath, Path: "/dev/zero"},
			Rlimit:  map[spec.RlimitName]spec.Rlimit{"nofile": {Soft: 1024, Hard: spec.Unlimited}},
			Nice:    new(3), OOMScore: new(100), Cap: []string{"net_bind_service"},
		},
		Supervision: spec.Supervision{
			Success:     spec.ExitSet{Codes: []int{3}, Signals: []spec.Signal{"USR1"}},
			Stop:        spec.StopSchedule{{Signal: "INT"}},
			StopCommand: spec.Command{"/bin/echo", "bye"}, Reload: "HUP",
		},
		Ready: spec.Probe{Kind: spec.ProbeNotify}, Watchdog: spec.Duration(20 * time.Second),
		FDStore: 3, Sockets: []spec.Socket{
			{Listen: spec.Address{Network: spec.NetTCP, Addr: "127.0.0.1:8080"}, Nonblocking: true},
			{Listen: spec.Address{Network: spec.NetUnix, Addr: "/run/all.sock"},
				Owner: "daemon:daemon", Nonblocking: true},
		},
		Limits: spec.Limits{Memory: 64 << 20, MemoryHigh: 32 << 20, CPUs: 1.5, CPUWeight: 50,
			IOWeight: 50, Tasks: 20},
	}
}

func scheduled(t testing.TB, name, text string) spec.Service {
	t.Helper()
	schedule, err := spec.ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Service{
		Name:     name,
		Command:  spec.Command{"/bin/true"},
		Type:     spec.Oneshot,
		Schedule: schedule,
	}
}

// TestVerify: systemd itself finds nothing to say about the units.
func TestVerify(t *testing.T) {
	if testing.Short() {
		t.Skip("asks systemd-analyze")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	strict := everything()
	strict.Name, strict.Sandbox.Level, strict.Sockets = "strict", spec.SandboxStrict, nil
	services := []spec.Service{
		everything(), strict, nastyService(), scheduled(t, "both", "30 4 1,15 * 5"),
		scheduled(t, "daily", "@daily"), {Name: "settle", Command: spec.Command{"/bin/sleep", "1"}},
		{Name: "file", Command: spec.Command{"/bin/sleep", "1"},
			Ready: spec.Probe{Kind: spec.ProbeFile, Target: "/run/a b'"}},
		{
			Name: "many", Command: spec.Command{"/bin/sleep", "1"}, Instances: 2,
			Sockets: []spec.Socket{
				{Listen: spec.Address{Network: spec.NetTCP, Addr: "127.0.0.1:8081"}},
				{Listen: spec.Address{Network: spec.NetUnix, Addr: "/run/{instance}.sock"}},
			},
		},
	}
	for _, opts := range []writers.Options{{}, {User: true}} {
		dir := t.TempDir()
		var units []string
		for _, f := range rendered(t, opts, services...).Files {
			name := filepath.Join(dir, f.Path)
			if err := os.WriteFile(name, f.Content, f.Mode); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, ".env") {
				units = append(units, name)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		scope := "--system"
		if opts.User {
			scope = "--user"
		}
		cmd := exec.CommandContext(ctx, analyze,
			append([]string{"verify", scope, "--man=no"}, units...)...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, dir) || strings.Contains(line, ".service") ||
				strings.Contains(line, ".socket") || strings.Contains(line, ".timer") {
				t.Errorf("%s: %s", scope, line)
			}
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", scope, err, out)
		}
	}
}

package systemd

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plant writes files below a directory, whose contents come by their paths.
func plant(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropInOrder: the drop-ins of a unit, and their order, are those of systemd,
// which complains of each in turn.
func TestDropInOrder(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for name, files := range map[string][]string{
		"web.service": {
			"etc/NAME.d/50-b.conf", "lib/NAME.d/50-b.conf", "lib/NAME.d/10-a.conf",
			"run/NAME.d/90-c.conf", "etc/NAME.d/20-no.txt", "etc/NAME.d/A.conf",
			"etc/NAME.d/.hidden.conf", "lib/service.d/40-all.conf", "etc/service.d/10-a.conf",
			"etc/other.service.d/1.conf", "etc/web.d/1.conf",
		},
		"a-b-c.service": {"etc/NAME.d/3.conf", "etc/a-b-.service.d/2.conf",
			"lib/a-.service.d/1.conf", "etc/a-.service.d/3.conf", "etc/a-b.service.d/9.conf"},
		"task@.service": {"etc/NAME.d/2.conf", "etc/task.service.d/1.conf",
			"etc/service.d/4.conf"},
		"task@x.service": {"etc/task@.service.d/2.conf", "etc/NAME.d/2.conf",
			"etc/task@.service.d/1.conf", "etc/task@y.service.d/3.conf"},
		"a-b-c@x-y.service": {
			"etc/NAME.d/1.conf", "etc/a-b-c@x-.service.d/2.conf", "etc/a-b-@x-y.service.d/3.conf",
			"etc/a-b-@x-y.service.d/4.conf", "etc/a-b-@.service.d/4.conf",
			"etc/a-b-c@.service.d/5.conf", "etc/a-.service.d/5.conf", "etc/a-@x-y.service.d/6.conf",
			"etc/a-b-@.service.d/6.conf", "etc/a-@.service.d/7.conf", "etc/a-.service.d/8.conf",
			"etc/a-b-@x-y.service.d/8.conf", "etc/a-b-.service.d/9.conf", "etc/a-.service.d/9.conf",
		},
		"web.socket": {"etc/NAME.d/1.conf", "lib/socket.d/2.conf"},
	} {
		root := t.TempDir()
		unit := filepath.Join(root, "etc", name)
		planted := map[string]string{"etc/" + name: "[Service]\nExecStart=/bin/true\n",
			"etc/web.service": "[Service]\nExecStart=/bin/true\n"}
		if strings.HasSuffix(name, ".socket") {
			planted["etc/"+name] = "[Socket]\nListenStream=/run/x\n"
		}
		for _, file := range files {
			planted[strings.ReplaceAll(file, "NAME", name)] = "[Unit]\nMarked=1\n"
		}
		plant(t, root, planted)
		dirs := []string{root + "/etc", root + "/run", root + "/lib"}
		got, err := dropIns(unit, [][]string{dirs})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("systemd-analyze", "verify", "--man=no", unit)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+strings.Join(dirs, ":"))
		out, _ := cmd.CombinedOutput() // it fails, for there are no targets
		var want []string
		for line := range strings.Lines(string(out)) {
			if file, _, ok := strings.Cut(line, ":2: Unknown key"); ok &&
				!slices.Contains(want, file) {
				want = append(want, file)
			}
		}
		if d := cmp.Diff(want, got); d != "" || len(want) == 0 {
			t.Errorf("%s (- systemd, + we):\n%s\n%s", name, d, out)
		}
	}
}

// TestDropIns: later assignments win, empty ones reset, and what is reported is
// what counts in the end, with the file that says it.
func TestDropIns(t *testing.T) {
	root := t.TempDir()
	plant(t, root, map[string]string{
		"lib/web.service": "[Unit]\nDescription=old\nConditionPathExists=/x\nAssertUser=y\n" +
			"After=a.service\nRequires=lost.service\n" +
			"[Service]\nExecStartPre=/bin/pre\nExecStart=-/bin/old $X\nKillMode=process\n" +
			"Environment=A=1 B=2\nEnvironmentFile=/old\nNice=5\n" +
			"CPUQuota=20%\nMemoryMax=1G\nMemorySwapMax=1G\nTasksMax=5\nIOWeight=7\n" +
			"WorkingDirectory=/srv\nPrivateTmp=yes\nSlice=x.slice\nLimitNOFILE=5\n" +
			"CapabilityBoundingSet=CAP_CHOWN\nSuccessExitStatus=3\nReadOnlyPaths=/a\n[Install]\n" +
			"WantedBy=multi-user.target\n",
		"etc/web.service.d/10-reset.conf": "[Unit]\nDescription=new\nConditionPathExists=\n" +
			"After=\n[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/new\nKillMode=mixed\n" +
			"EnvironmentFile=\nNice=\nCPUQuota=\nMemoryMax=\nMemorySwapMax=\nTasksMax=\n" +
			"IOWeight=\nWorkingDirectory=\nLimitNOFILE=\nSuccessExitStatus=\nReadOnlyPaths=\n" +
			"ReadOnlyPaths=/b\n",
		"lib/web.service.d/20-more.conf": "[Service]\nEnvironment=B=3\nUser=www\n" +
			"ProtectClock=yes\n[Install]\nWantedBy=\n",
		"lib/web.service.d/90-off.conf": "[Service]\nUser=nobody\n",
		"etc/web.service.d/90-off.conf": "", // masked
		"lib/web.socket":                "[Socket]\nListenStream=80\n",
		"etc/web.socket.d/x.conf":       "[Socket]\nListenStream=\nListenStream=81\nFreeBind=yes\n",
		"lib/web.timer": "[Unit]\nDescription=x\n[Timer]\nOnCalendar=daily\n" +
			"Persistent=yes\nUnit=web.service\n[Install]\nWantedBy=timers.target\n",
	})
	dirs := [][]string{{root + "/etc", root + "/lib"}}
	services, notes, err := read(
		[]string{root + "/lib/web.service", root + "/lib/web.socket", root + "/lib/web.timer"},
		dirs,
	)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, n := range notes {
		said = append(said, strings.TrimPrefix(n.String(), root+"/"))
	}
	want := []string{
		"lib/web.service:4: Unit.AssertUser: cannot be expressed",
		"lib/web.service:21: Service.Slice: cannot be expressed",
		"lib/web.service:23: Service.CapabilityBoundingSet: is not the same as " +
			"AmbientCapabilities=; here one set is both",
		"lib/web.service.d/20-more.conf:4: Service.ProtectClock: cannot be expressed",
		"etc/web.socket.d/x.conf:4: Socket.FreeBind: cannot be expressed",
		"lib/web.timer:4: Timer.OnCalendar: cannot be expressed: " + noSchedule,
		"lib/web.timer:5: Timer.Persistent: cannot be expressed",
		"lib/web.service:1: Unit.Requires: lost.service is not read along with this unit: left out",
	}
	if d := cmp.Diff(want, said); d != "" {
		t.Errorf("notes (- want, + got):\n%s", d)
	}
	s := services[0]
	if s.Description != "new" || !slices.Equal(s.Command, []string{"/bin/new"}) || s.Nice != nil ||
		s.Chdir != "/" || s.User != "www" || len(s.EnvFile) > 0 ||
		!maps.Equal(s.Env, map[string]string{"A": "1", "B": "3"}) ||
		s.Limits.CPUs != 0 || s.Limits.Memory != 0 || s.Limits.Swap != nil || s.Limits.Tasks != 0 ||
		s.Limits.IOWeight != 0 || len(s.Rlimit) > 0 || !s.Success.IsZero() ||
		!slices.Equal(s.Sandbox.ReadOnly, []string{"/b"}) || s.StopTo != "main" ||
		*s.Autostart || !slices.Equal(s.After, []string{"a"}) ||
		len(s.Sockets) != 1 || s.Sockets[0].Listen.String() != "tcp::81" {
		t.Errorf("made of it: %+v", s)
	}

	// A unit elsewhere has what is beside it alone, and what is not named is told.
	_, notes, err = read([]string{root + "/lib/web.service"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, n := range notes {
		text += n.String() + "\n"
	}
	for _, want := range []string{
		"web.service:1: Unit: web.socket stands beside",
		"web.service:1: Unit: web.timer stands beside", "Service.ExecStartPre", "KillMode",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q:\n%s", want, text)
		}
	}
	if _, _, err := read([]string{root + "/lib/web.timer"}, nil); err == nil ||
		!strings.Contains(err.Error(), "no .service unit") {
		t.Errorf("a timer alone: %v", err)
	}
}

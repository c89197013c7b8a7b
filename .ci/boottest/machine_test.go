package boottest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that a machine does: more than the 90 s
// that systemd gives a unit to start or stop, so that it is systemd who says which.
const patience = 3 * time.Minute

// rebooted is the status of systemd-nspawn when init asked for a reboot and
// --keep-unit leaves it to the caller.
const rebooted = 133

// machine is one Debian system that boots, runs and reboots.
type machine struct {
	t      *testing.T
	system *system
	root   string // its tree, as seen from here
	boots  int

	nspawn *exec.Cmd
	ended  chan struct{} // closed when nspawn has ended
	groups []string      // its cgroups, one in each hierarchy
	leader int           // init, as seen from here; 0 while it is off
}

// newMachine makes a tree of its own for a test, which then runs in parallel
// with others: machines mostly wait. It is not booted.
func newMachine(t *testing.T, s *system) *machine {
	t.Helper()
	t.Parallel()
	layer := s.layer(t)
	name := strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())
	m := &machine{t: t, system: s, root: filepath.Join(dir, "m", name)}
	m.groups = cgroups(t, machineName(m.root))
	mount(t, m.root, m.root+".upper", layer, base)
	t.Cleanup(func() {
		if t.Failed() {
			m.testify()
		}
		m.off()
		unmount(t, m.root)
		for _, group := range m.groups {
			removeCgroup(t, group)
		}
	})
	return m
}

// testify logs what a machine can say about a failure.
func (m *machine) testify() {
	out, err := os.ReadFile(m.root + ".console")
	if err != nil {
		out = []byte(err.Error())
	}
	m.t.Logf("boot %d: the console's last lines:\n%s", m.boots, last(out, 50))
	if m.leader == 0 || m.system != systemdSystem {
		return
	}
	// that of the test has ended
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const script = "systemctl --no-pager --failed; systemctl --no-pager list-jobs; journalctl " +
		"--no-pager --boot --lines=50"
	if out, err = m.command(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		out = append(out, err.Error()...)
	}
	m.t.Logf("what systemd says:\n%s", out)
}

// boot starts init and returns when the boot is over, as far as init tells.
func (m *machine) boot() {
	m.t.Helper()
	m.boots++
	socket := filepath.Join(dir, "n"+strconv.Itoa(os.Getpid())+filepath.Base(m.root))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket})
	if err != nil {
		m.t.Fatal(err)
	}
	defer os.Remove(socket)
	defer conn.Close()
	console, err := os.OpenFile(m.root+".console", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer console.Close()

	cmd := in(m.groups,
		"systemd-nspawn", "-D", m.root, "--machine="+machineName(m.root), "--register=no",
		"--keep-unit", "--private-network",
		"--console=pipe", "--notify-ready="+strconv.FormatBool(m.system.tells), "-b")
	if m.system == systemdSystem {
		// on the console, which is no terminal
		cmd.Args = append(cmd.Args, "systemd.show_status=yes")
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + socket}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	conn.SetReadDeadline(time.Now().Add(patience))
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.nspawn, m.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		cmd.Wait() // the status is in ProcessState
		close(ended)
		conn.SetReadDeadline(time.Now())
	}(m.ended)
	m.listen(conn)
	if !m.system.tells && m.system.finish != nil {
		m.wait("the boot to be over", func() bool {
			_, err := os.Stat(m.inside(booted))
			return err == nil
		})
	}
}

// listen reads what nspawn says of its container, until it is ready.
func (m *machine) listen(conn *net.UnixConn) {
	m.t.Helper()
	var said strings.Builder
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		select {
		case <-m.ended:
			m.t.Fatalf(
				"boot %d: the machine went down before init was ready: nspawn: %v; it said %q",
				m.boots, m.nspawn.ProcessState, said.String(),
			)
		default:
		}
		if err != nil {
			m.t.Fatalf("boot %d: init was not ready within %v: %v; it said %q",
				m.boots, patience, err, said.String())
		}
		said.Write(append(buf[:n], '\n'))
		for line := range strings.Lines(string(buf[:n])) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "X_NSPAWN_LEADER_PID":
				m.leader, _ = strconv.Atoi(value)
			case "READY":
				if m.leader == 0 {
					m.t.Fatalf("nspawn did not say which process init is: %q", said.String())
				}
				return
			}
		}
	}
}

// reboot asks init for a reboot, as a person would, and boots again.
func (m *machine) reboot() {
	m.t.Helper()
	// The command may be ended, like everything in the machine, before it has ended by itself.
	out, status := m.try("reboot")
	select {
	case <-m.ended:
	case <-time.After(patience):
		m.t.Fatalf("boot %d: the machine does not go down within %v; reboot: status %d: %s",
			m.boots, patience, status, out)
	}
	if status := m.nspawn.ProcessState.ExitCode(); status != rebooted {
		m.t.Fatalf("boot %d: nspawn ended with status %d, want %d", m.boots, status, rebooted)
	}
	m.leader, m.nspawn = 0, nil
	m.boot()
}

// off pulls the plug. To kill process 1 of a pid namespace kills all of it;
// nspawn alone would leave it running.
func (m *machine) off() {
	if m.nspawn == nil {
		return
	}
	if m.leader != 0 {
		syscall.Kill(m.leader, syscall.SIGKILL)
	} else {
		m.nspawn.Process.Kill()
	}
	<-m.ended
	m.leader, m.nspawn = 0, nil
}

// inside is a path in the machine's own view, with what is mounted there.
func (m *machine) inside(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.leader), "root", path)
}

// command is a command in the machine as root, with the environment of a login.
func (m *machine) command(ctx context.Context, argv ...string) *exec.Cmd {
	// -w keeps the directory from being taken for one in the machine.
	enter := []string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, argv...)...)
	cmd.WaitDelay = 10 * time.Second // somebody left behind has the pipe
	return cmd
}

// try runs a command and returns what it printed.
func (m *machine) try(argv ...string) (out string, status int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	cmd := m.command(ctx, argv...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err() // which is why it was killed
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("boot %d: %q: %v\n%s", m.boots, argv, err, text.String())
	}
	return text.String(), cmd.ProcessState.ExitCode()
}

// run is try for what must succeed.
func (m *machine) run(argv ...string) string {
	m.t.Helper()
	out, status := m.try(argv...)
	if status != 0 {
		m.t.Fatalf("boot %d: %q: status %d\n%s", m.boots, argv, status, out)
	}
	return out
}

// wait polls until something is so.
func (m *machine) wait(what string, so func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("boot %d: waited %v for %s", m.boots, patience, what)
		}
	}
}

// write puts a file into the tree.
func (m *machine) write(path, content string, mode fs.FileMode) {
	m.t.Helper()
	root := openRoot(m.t, m.root)
	defer root.Close()
	put(m.t, root, path, content, mode)
}

func machineName(root string) string {
	return strings.ToLower(strings.TrimPrefix(filepath.Base(root), "Test"))
}

// cgroups returns a path for a machine in every hierarchy that systemd manages.
// With --keep-unit nspawn goes on in the cgroup it is in, and two machines in
// one would take each other's services for theirs.
func cgroups(t *testing.T, name string) (groups []string) {
	t.Helper()
	for _, hierarchy := range []string{
		"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd",
	} {
		if _, err := os.Stat(filepath.Join(hierarchy, "cgroup.procs")); err == nil {
			groups = append(groups, filepath.Join(hierarchy, filepath.Base(dir)+"-"+name))
		}
	}
	if groups == nil {
		t.Fatal("there is no cgroup hierarchy in /sys/fs/cgroup")
	}
	return groups
}

// in lets a command move itself into cgroups before it begins.
func in(groups []string, argv ...string) *exec.Cmd {
	const script = `while [ "$1" != -- ]; do mkdir -p "$1" && echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`
	words := append([]string{"-c", script, "sh"}, groups...)
	return exec.Command("sh", append(append(words, "--"), argv...)...)
}

// removeCgroup removes an empty cgroup and those in it.
func removeCgroup(t *testing.T, group string) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var groups []string
		filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		for i := len(groups) - 1; i >= 0; i-- {
			os.Remove(groups[i])
		}
		if _, err := os.Stat(group); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(end) {
			t.Errorf("cgroup %s is still in use", group)
			return
		}
	}
}

// left lists what is still there of a service: files and links with its name,
// but for its programs and its log, and files with our mark. What find says of
// directories that vanish under it, as those of systemd do, is not listed.
func (m *machine) left(name string) string {
	m.t.Helper()
	const script = `{ find / -xdev \( -path /usr -o -path /var/log -o -path /var/lib/probe \) -prune -o -name "*$1*" -print
		find /run /etc -name "*$1*"; } 2>/dev/null; grep -rIls "written by daemonry" /etc /home /root; command -v find >/dev/null`
	return m.run("sh", "-c", script, "sh", name)
}

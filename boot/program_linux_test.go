package boot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

const patience = 30 * time.Second

type statusError struct{ status int }

func (e statusError) Error() string   { return "cannot go on" }
func (e statusError) ExitStatus() int { return e.status }

// server is a program whose functions print that they are called; what else they do is said by its
// arguments.
var server = proctest.Register("server", func(args []string) int {
	has := func(word string) bool { return slices.Contains(args, word) }
	p := Program{
		Start: func(context.Context) error {
			fmt.Println("start", Interactive())
			if has("fail-start") {
				return statusError{7}
			}
			return nil
		},
		Run: func(ctx context.Context) error {
			fmt.Println("run")
			if has("fail-run") {
				return statusError{8}
			}
			if has("finish") {
				return nil
			}
			<-ctx.Done()
			fmt.Println("over:", context.Cause(ctx))
			return fmt.Errorf("serve: %w", ctx.Err())
		},
		Stop: func(ctx context.Context) error {
			fmt.Println("stop", ctx.Err())
			if has("twice") {
				again := make(chan os.Signal, 1)
				signal.Notify(again, syscall.SIGINT)
				fmt.Println("waiting")
				fmt.Println(<-again)
			}
			if has("slow") || has("twice") {
				bufio.NewReader(os.Stdin).ReadString('\n')
			}
			if has("fail-stop") {
				return statusError{9}
			}
			return nil
		},
	}
	if has("reload") {
		p.Reload = func(context.Context) error {
			fmt.Println("reload")
			if has("fail-reload") {
				return errors.New("bad configuration")
			}
			return nil
		}
	}
	if has("dead") {
		p.Alive = func() error { return errors.New("it hangs") }
	}
	if i := slices.Index(args, "-d"); i >= 0 {
		dir := args[i+1]
		p.Detach = &daemonry.Options{
			PIDFile: filepath.Join(dir, "pid"), LogFile: filepath.Join(dir, "log"),
		}
	}
	return Service{System: "upstart"}.Main(context.Background(), p)
})

// process is a server that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stdin  *os.File
	stderr strings.Builder
}

func begin(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Stdin == nil {
		cmd.Stdin = in
	}
	cmd.Stderr = &p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	p.lines, p.stdin = bufio.NewScanner(out), w
	watch := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() { watch.Stop(); w.Close(); cmd.Process.Kill(); cmd.Wait() })
	return p
}

// prints expects lines that begin so.
func (p *process) prints(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if !p.lines.Scan() || !strings.HasPrefix(p.lines.Text(), w) {
			p.t.Fatalf("printed %q, want %q; %s", p.lines.Text(), w, &p.stderr)
		}
	}
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// ends expects the end, without another line.
func (p *process) ends(status string) {
	p.t.Helper()
	if p.lines.Scan() {
		p.t.Errorf("printed %q at its end", p.lines.Text())
	}
	p.cmd.Wait()
	if got := p.cmd.ProcessState.String(); got != status {
		p.t.Errorf("ended with %q, want %q; %s", got, status, &p.stderr)
	}
}

// apart is a session of its own, without a terminal.
func apart(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// TestByHand: nobody waits for the program.
func TestByHand(t *testing.T) {
	for _, c := range []struct {
		args   string
		sig    syscall.Signal
		prints []string
		status string
		words  string
	}{
		{"", syscall.SIGTERM, []string{"over: ended by signal: terminated", "stop <nil>"},
			"exit status 0", ""},
		{"", syscall.SIGINT, []string{"over: ended by signal: interrupt", "stop <nil>"},
			"exit status 0", ""},
		{"", syscall.SIGHUP, []string{"over: ended by signal: hangup", "stop <nil>"},
			"exit status 0", ""},
		{"finish", 0, []string{"stop <nil>"}, "exit status 0", ""},
		{"fail-run", 0, []string{"stop <nil>"}, "exit status 8", "cannot go on"},
		{"fail-stop", syscall.SIGTERM, []string{"over:", "stop"}, "exit status 9", "cannot go on"},
		{"reload fail-reload", syscall.SIGHUP, []string{"reload"}, "", "reload: bad configuration"},
	} {
		t.Run(c.args+c.sig.String(), func(t *testing.T) {
			proctest.CheckLeaks(t)
			p := begin(t, apart(server.Command(t, append([]string{"x"},
				strings.Fields(c.args)...)...)))
			p.prints("start false", "run")
			if c.sig != 0 {
				p.signal(c.sig)
			}
			p.prints(c.prints...)
			if c.status == "" {
				p.signal(syscall.SIGTERM)
				p.prints("over", "stop")
				c.status = "exit status 0"
			}
			p.ends(c.status)
			if !strings.Contains(p.stderr.String(), c.words) {
				t.Errorf("no %q in %q", c.words, &p.stderr)
			}
		})
	}
	t.Run("fail-start", func(t *testing.T) {
		p := begin(t, apart(server.Command(t, "x", "fail-start")))
		p.prints("start")
		p.ends("exit status 7")
	})
}

// TestIgnored: what was ignored when the program started stays so.
func TestIgnored(t *testing.T) {
	proctest.CheckLeaks(t)
	p := begin(t, apart(exec.Command("/bin/sh", "-c", `trap "" HUP INT; exec "$0" x`,
		server.Path(t))))
	p.prints("start false", "run")
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGINT)
	p.signal(syscall.SIGTERM)
	p.prints("over: ended by signal: terminated", "stop")
	p.ends("exit status 0")
}

// terminal has a program as session leader of a terminal.
func terminal(t *testing.T, cmd *exec.Cmd) (master *os.File) {
	t.Helper()
	master, slave, err := proctest.OpenTerminal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	return master
}

// TestTerminal: Ctrl-C once ends the program in order, and twice at once.
func TestTerminal(t *testing.T) {
	proctest.CheckLeaks(t)
	cmd := server.Command(t, "x", "slow")
	master := terminal(t, cmd)
	p := begin(t, cmd)
	p.prints("start true", "run")
	for _, line := range []string{"over: ended by signal: interrupt", "stop"} {
		if strings.HasPrefix(line, "over") {
			if _, err := master.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
		}
		p.prints(line)
	}
	if _, err := master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	p.ends("signal: interrupt")
}

// TestNoTerminal: what is not at a terminal is not ended by a second one.
func TestNoTerminal(t *testing.T) {
	proctest.CheckLeaks(t)
	p := begin(t, apart(server.Command(t, "x", "twice")))
	p.prints("start false", "run")
	p.signal(syscall.SIGINT)
	p.prints("over", "stop", "waiting")
	p.signal(syscall.SIGINT)
	p.prints("interrupt")
	if _, err := p.stdin.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	p.ends("exit status 0")
}

// TestHangup: at a terminal SIGHUP is a request as long as the terminal is there.
func TestHangup(t *testing.T) {
	proctest.CheckLeaks(t)
	cmd := server.Command(t, "x", "reload")
	master := terminal(t, cmd)
	p := begin(t, cmd)
	p.prints("start true", "run")
	p.signal(syscall.SIGHUP)
	p.prints("reload")
	master.Close()
	p.prints("over: ended by signal: hangup", "stop")
	p.ends("exit status 0")
}

// TestProcess1: as in a container, where -d is no reason to detach.
func TestProcess1(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	cmd := server.Command(t, "x", "reload", "-d", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	p := begin(t, cmd)
	in := func(text string) {
		t.Helper()
		logged(t, dir, text)
	}
	in("run\n")
	p.signal(syscall.SIGHUP)
	in("reload\n")
	p.signal(syscall.SIGTERM)
	p.ends("exit status 0")
	in("over: ended by signal: terminated\nstop")
}

// logged waits until the log has a text.
func logged(t *testing.T, dir, text string) {
	t.Helper()
	proctest.Eventually(t, patience, func() error {
		log, err := os.ReadFile(filepath.Join(dir, "log"))
		if err == nil && !strings.Contains(string(log), text) {
			err = fmt.Errorf("no %q in %q", text, log)
		}
		return err
	})
}

// TestDetached: the launcher is told, SIGHUP opens the log anew, and nothing is left.
func TestDetached(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	out, err := apart(server.Command(t, "x", "-d", dir)).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	d, err := daemonry.Find(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	proctest.KillAtEnd(t, d.PID)
	logged(t, dir, "run\n")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := d.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	logged(t, dir, "")
	if err := d.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	logged(t, dir, "over: ended by signal: terminated\nstop")
	proctest.Gone(t, d.PID)
	if _, err := os.Stat(filepath.Join(dir, "pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pid file: %v", err)
	}
	out, err = apart(server.Command(t, "x", "fail-start", "-d", dir)).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 ||
		!strings.Contains(string(out), "cannot go on") {
		t.Errorf("a daemon that fails: %v: %s", err, out)
	}
}

// TestManager: what a manager hears.
func TestManager(t *testing.T) {
	for _, watchdog := range []string{"alive", "dead"} {
		t.Run(watchdog, func(t *testing.T) {
			proctest.CheckLeaks(t)
			path := filepath.Join(t.TempDir(), "notify")
			socket, err := sys.ListenNotify(path)
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			defer time.AfterFunc(patience, func() { socket.Close() }).Stop()
			cmd := apart(server.Command(t, "x", "reload", "slow", watchdog))
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=100000")
			p := begin(t, cmd)
			buf := make([]byte, 4096)
			// hear skips signs of life, unless one is asked for.
			hear := func(want string) {
				t.Helper()
				for {
					pkt, err := socket.Receive(buf)
					if err != nil {
						t.Fatal(err)
					}
					text := string(buf[:pkt.N])
					pkt.CloseFiles()
					if strings.HasPrefix(text, want) {
						return
					}
					if !strings.HasPrefix(text, "WATCHDOG=1") {
						t.Fatalf("heard %q, want %q", text, want)
					}
					if watchdog == "dead" {
						t.Error("a sign of life")
					}
				}
			}
			p.prints("start false", "run")
			hear("READY=1")
			if watchdog == "alive" {
				hear("WATCHDOG=1")
				hear("WATCHDOG=1")
			}
			p.signal(syscall.SIGHUP)
			hear("RELOADING=1\nMONOTONIC_USEC=")
			hear("READY=1")
			p.signal(syscall.SIGTERM)
			hear("STOPPING=1") // before it has ended
			if _, err := p.stdin.WriteString("\n"); err != nil {
				t.Fatal(err)
			}
			p.prints("reload", "over", "stop")
			p.ends("exit status 0")
			if watchdog == "dead" && !strings.Contains(p.stderr.String(), "watchdog: it hangs") {
				t.Errorf("printed %q", &p.stderr)
			}
		})
	}
}

// TestVerbs: a verb is the first argument, and alone.
func TestVerbs(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		words  string
	}{
		{"status", 4, `no init system "upstart" is known; `},
		{"install", 1, `no init system "upstart" is known; `},
		{"install now", 2, "install takes no arguments"},
	} {
		cmd := apart(server.Command(t, strings.Fields(c.args)...))
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.status || !strings.Contains(string(out), c.words) {
			t.Errorf("%s: %v: %s", c.args, err, out)
		}
	}
}

// TestInteractive: what systemd started is not, whatever it was given.
func TestInteractive(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `SYSTEMD_EXEC_PID=$$ exec "$0" x finish`, server.Path(t))
	terminal(t, cmd)
	p := begin(t, cmd)
	p.prints("start false", "run", "stop")
	p.ends("exit status 0")
	cmd = server.Command(t, "x", "finish")
	cmd.Env = append(os.Environ(), "SYSTEMD_EXEC_PID="+strconv.Itoa(os.Getpid())) // inherited
	terminal(t, cmd)
	p = begin(t, cmd)
	p.prints("start true", "run", "stop")
	p.ends("exit status 0")
}

// TestServiceOf: what a program's functions show is in its unit, unless something else is said.
func TestServiceOf(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	s := Service{}.of(Program{Start: nothing, Reload: nothing})
	if s.Spec.Ready.Kind != spec.ProbeNotify || s.Spec.Reload != "HUP" {
		t.Errorf("%+v", s.Spec)
	}
	s.Spec.Ready, s.Spec.Reload = spec.Probe{Kind: spec.ProbeExec}, "USR1"
	if s = s.of(Program{Start: nothing, Reload: nothing}); s.Spec.Ready.Kind != spec.ProbeExec ||
		s.Spec.Reload != "USR1" {
		t.Errorf("%+v", s.Spec)
	}
	if s := (Service{}).of(Program{Run: nothing}); s.Spec.Ready.Kind != "" || s.Spec.Reload != "" {
		t.Errorf("%+v", s.Spec)
	}
}

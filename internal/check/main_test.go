//go:build linux

package check

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// TestMain makes the test process a subreaper, so that it can reap the daemons.
func TestMain(m *testing.M) {
	if pid, err := strconv.Atoi(os.Getenv("CHECK_INSPECT")); err == nil {
		r, err := Process(pid, Options{})
		text, _ := json.Marshal(r)
		fmt.Printf("%s\n%v\n", text, err)
		os.Exit(0)
	}
	if text := os.Getenv("CHECK_HELPER"); text != "" {
		os.Unsetenv("CHECK_HELPER")
		if err := launch(text); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := sys.BecomeSubreaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// state is how a daemon is born. The zero value is the good one.
type state struct {
	Program []string // default: sleep 1000
	Ignore  []syscall.Signal
	Block   []syscall.Signal
	Umask   int
	Dir     string
	Env     []string
	Stdio   [3]string // path and flags like "r:/dev/null"
	Leak    []string  // the same
	Pipe    bool      // leak both ends of a pipe
	Socket  bool      // leak a listening socket
	Leader  bool      // no second fork: the helper becomes the program
	Cred    *syscall.Credential
	Second  bool // this is the second child
}

// launch is the first child of daemon(7): it starts the second, prints its
// pid, and ends. The second puts on what execve keeps, and executes the program.
func launch(text string) error {
	var s state
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	if s.Program == nil {
		s.Program = []string{"/bin/sleep", "1000"}
	}
	if s.Second {
		return s.become()
	}
	if err := sys.SealDescriptors(3); err != nil {
		return err
	}
	files, err := s.files()
	if err != nil {
		return err
	}
	if s.Leader {
		fmt.Println(os.Getpid())
		for i, file := range files {
			if err := sys.Dup2(int(file.Fd()), i); err != nil {
				return err
			}
		}
		return s.become()
	}
	s.Second = true
	again, err := json.Marshal(s)
	if err != nil {
		return err
	}
	p, err := os.StartProcess(os.Args[0], os.Args, &os.ProcAttr{
		Env: append(os.Environ(), "CHECK_HELPER="+string(again)), Files: files,
		Sys: &syscall.SysProcAttr{Credential: s.Cred},
	})
	if err != nil {
		return err
	}
	fmt.Println(p.Pid)
	return nil
}

// become executes the program in place of the helper. Signals come last: Go's
// runtime would set them back in a child.
func (s state) become() error {
	if s.Dir == "" {
		s.Dir = "/"
	}
	sys.Umask(s.Umask)
	if err := errors.Join(os.Chdir(s.Dir), sys.ResetIgnoredSignals()); err != nil {
		return err
	}
	for _, sig := range s.Ignore {
		signal.Ignore(sig) // without any, all would be
	}
	mask := sys.SignalSet(0)
	for _, sig := range s.Block {
		mask = mask.Add(sig)
	}
	runtime.LockOSThread()
	if _, err := sys.SetSignalMask(mask); err != nil {
		return err
	}
	for i, spec := range s.Stdio {
		if spec == "closed" { // Go's runtime has opened /dev/null there
			if err := sys.CloseFD(i); err != nil {
				return err
			}
		}
	}
	return syscall.Exec(s.Program[0], s.Program, s.Env)
}

func (s state) files() ([]*os.File, error) {
	var files []*os.File
	open := func(spec string) error {
		if spec == "closed" {
			files = append(files, nil)
			return nil
		}
		mode, path, _ := strings.Cut(spec, ":")
		flags := map[string]int{"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREATE,
			"a": os.O_WRONLY | os.O_APPEND | os.O_CREATE, "rw": os.O_RDWR}[mode]
		file, err := os.OpenFile(path, flags|syscall.O_NOCTTY, 0o644)
		files = append(files, file)
		return err
	}
	for i, spec := range s.Stdio {
		if spec == "" {
			spec = []string{"r:/dev/null", "w:/dev/null", "w:/dev/null"}[i]
		}
		if err := open(spec); err != nil {
			return nil, err
		}
	}
	for _, spec := range s.Leak {
		if err := open(spec); err != nil {
			return nil, err
		}
	}
	if s.Pipe {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		files = append(files, r, w)
	}
	if s.Socket {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// born starts a daemon and returns its pid; it is ended with the test.
func born(t *testing.T, s state) int {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	// The race detector would make the helper sleep for a second at its end.
	cmd.Env = append(os.Environ(), "GORACE="+proctest.RaceSettings(), "CHECK_HELPER="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	line, _ := bufio.NewReader(read).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("helper: %s", line)
	}
	t.Cleanup(func() {
		syscall.Kill(pid, syscall.SIGKILL)
		if s.Leader {
			cmd.Wait()
			return
		}
		syscall.Wait4(pid, nil, 0, nil)
	})
	if !s.Leader {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	want := "sleep"
	if s.Program != nil {
		want = filepath.Base(s.Program[0])
	}
	waitFor(t, "the program is executed", func() bool {
		st, err := sys.ReadStat(pid)
		return err == nil && st.Comm == want && st.State == 'S'
	})
	return pid
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func inspect(t *testing.T, pid int, o Options) Report {
	t.Helper()
	r, err := Process(pid, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Steps) != 15 {
		t.Fatalf("%d steps", len(r.Steps))
	}
	for i, step := range r.Steps {
		if step.Number != i+1 || step.Name == "" || step.Evidence == "" ||
			strings.Contains(step.Evidence, "\n") {
			t.Errorf("step %d: %+v", i+1, step)
		}
	}
	return r
}

//go:build linux

package listen

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// helperVariable makes the test binary a program that is handed sockets. The
// first word of its value is the stage: "exec" writes its own pid into
// LISTEN_PID, as a manager's child does after fork, and executes the program
// proper.
const helperVariable = "LISTEN_TEST_HELPER"

func TestMain(m *testing.M) {
	stage, program, _ := strings.Cut(os.Getenv(helperVariable), " ")
	switch stage {
	case "":
		before := openFDs()
		code := m.Run()
		// the runtime's poller: epoll and eventfd
		if after := openFDs(); code == 0 && after > before+2 {
			fmt.Fprintf(os.Stderr, "%d descriptors left open, %d before\n", after, before)
			code = 1
		}
		os.Exit(code)
	case "exec":
		must(os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())))
		must(os.Setenv(helperVariable, "run "+program))
		must(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	case "run":
		must(json.NewEncoder(os.Stdout).Encode(handed(program)))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// report is what a helper found.
type report struct {
	Err      string
	Names    []string
	Kinds    []string
	CloExec  []bool
	Leftover []string // variables still set
	Greeting string   // what came through the sockets
}

func handed(program string) (r report) {
	set, err := Take()
	for _, name := range variables {
		if _, ok := os.LookupEnv(name); ok {
			r.Leftover = append(r.Leftover, name)
		}
	}
	if err != nil {
		r.Err = err.Error()
		return r
	}
	for _, s := range set.All() {
		flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(s.fd), syscall.F_GETFD, 0)
		r.Names = append(r.Names, s.Name)
		r.Kinds = append(r.Kinds, s.Kind.String())
		r.CloExec = append(r.CloExec, flags&syscall.FD_CLOEXEC != 0)
	}
	if program == "serve" {
		r.Greeting, err = serve(set)
		must(err)
	}
	must(set.Close())
	for _, s := range set.All() {
		if s.Kind != Other && fdOpen(s.fd) {
			r.Err += fmt.Sprintf("descriptor %d is still open; ", s.fd)
		}
	}
	return r
}

// serve takes one greeting over a stream, and one over a datagram socket, by name.
func serve(set *Set) (string, error) {
	nowhere := Address{Network: "unix", Address: "/nonexistent/socket"}
	l, err := set.Listen("web", nowhere)
	if err != nil {
		return "", err
	}
	defer l.Close()
	conn, err := l.Accept()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil {
		return "", err
	}
	pc, err := set.ListenPacket("dns", Address{Network: "unixgram", Address: "/nonexistent/socket"})
	if err != nil {
		return "", err
	}
	defer pc.Close()
	m, _, err := pc.ReadFrom(buf[n:])
	if err != nil {
		return "", err
	}
	if _, err := set.Listen("web", nowhere); !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("a socket was given away twice: %v", err)
	}
	return string(buf[:n+m]), nil
}

func fdOpen(fd int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/self/fd/%d", fd))
	return err == nil
}

func openFDs() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(names)
}

// start runs a helper that has files from descriptor 3 on.
func start(t *testing.T, program string, files []*os.File, env ...string) (wait func() report) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(env, helperVariable+"="+program)
	cmd.ExtraFiles = files
	out, errs := new(strings.Builder), new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (r report) {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("helper: %v: %s", err, errs)
		}
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		return r
	}
}

// fileOf turns a socket into a file and closes both when the test ends.
func fileOf(t *testing.T, s interface {
	File() (*os.File, error)
	Close() error
}) *os.File {
	t.Helper()
	f, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); s.Close() })
	return f
}

func tcp(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, l.(*net.TCPListener)), l.Addr().String()
}

func udp(t *testing.T) (*os.File, string) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, c.(*net.UDPConn)), c.LocalAddr().String()
}

package spawn

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// named makes a file whose name tells which it is.
func named(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// moved is f under another number, which is closed at the end of the test.
func moved(t *testing.T, f *os.File, fd int) *os.File {
	t.Helper()
	if sys.DescriptorOpen(fd) {
		t.Fatalf("descriptor %d is taken", fd)
	}
	if err := syscall.Dup3(int(f.Fd()), fd, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	g := os.NewFile(uintptr(fd), f.Name())
	t.Cleanup(func() { g.Close() })
	return g
}

// TestDescriptors wants exactly the named descriptors, each at its number.
func TestDescriptors(t *testing.T) {
	for _, c := range []struct {
		name  string
		files func(t *testing.T) []File
	}{
		{"none", func(*testing.T) []File { return nil }},
		{"standard input", func(t *testing.T) []File { return []File{{0, named(t, "in")}} }},
		{"one that is high", func(t *testing.T) []File { return []File{{1000, named(t, "a")}} }},
		{"holes", func(t *testing.T) []File {
			return []File{{3, named(t, "a")}, {5, named(t, "b")}, {77, named(t, "c")}}
		}},
		{"sources above the targets", func(t *testing.T) []File {
			return []File{{3, moved(t, named(t, "a"), 900)}, {4, moved(t, named(t, "b"), 901)}}
		}},
		{
			"sources below the targets",
			func(t *testing.T) []File { return []File{{500, named(t, "a")}, {501, named(t, "b")}} },
		},
		{"the same number",
			func(t *testing.T) []File { return []File{{600, moved(t, named(t, "a"), 600)}} }},
		{"exchanged", func(t *testing.T) []File {
			return []File{{700, moved(t, named(t, "a"), 701)}, {701, moved(t, named(t, "b"), 700)}}
		}},
		{"in a ring", func(t *testing.T) []File {
			return []File{{700, moved(t, named(t, "a"), 701)}, {701, moved(t, named(t, "b"), 702)},
				{702, moved(t, named(t, "c"), 700)}}
		}},
		{"one twice", func(t *testing.T) []File {
			f := named(t, "a")
			return []File{{1, f}, {2, f}, {9, f}}
		}},
		{"as many as can be", func(t *testing.T) []File {
			f := named(t, "a")
			var list []File
			for i := range maxFiles {
				list = append(list, File{3 + 2*i, f})
			}
			return list
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				s := sleep()
				s.Files = c.files(t)
				want := map[int]string{0: os.DevNull, 1: os.DevNull, 2: os.DevNull}
				for _, f := range s.Files {
					want[f.FD] = f.Source.Name()
				}
				l := w.mustStart(t, s)
				isExecuting(t, l.pid, "sleep")
				// Its dynamic loader has some more open for a moment.
				proctest.Eventually(t, time.Minute, func() error {
					if got := proctest.Inspect(t, l.pid).FDs; !maps.Equal(got, want) {
						return fmt.Errorf("got %v, want %v", got, want)
					}
					return nil
				})
			})
		})
	}
}

// TestStandardDescriptorsAreUsable reads from and writes to those that nobody named.
func TestStandardDescriptorsAreUsable(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		exit := w.mustStart(t, shell(`read x; test $? = 1 && echo a && echo b >&2`)).wait(t)
		if exit.Code != 0 {
			t.Errorf("the shell %v", exit)
		}
	})
}

// leaker starts a process, each way, from a launcher with leaked descriptors, and prints what it
// has open.
var leaker = proctest.Register("leaker", func(args []string) int {
	s := &Spec{Path: args[1], Args: []string{"open-files", args[2]}}
	var pid int
	var err error
	switch args[0] {
	case "Start":
		pid, err = Start(context.Background(), s)
	case "Start by stage":
		d := s.describe()
		pid, err = startStage(context.Background(), &d)
	default:
		var l *Launch
		if l, err = Detach(context.Background(), s); err == nil {
			for range l.Events {
			}
		}
	}
	if pid > 0 {
		_, err = syscall.Wait4(pid, nil, 0, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
})

// openFiles writes the numbers of its descriptors that survived execve to the file args[0].
var openFiles = proctest.Register("open-files", func(args []string) int {
	var list []string
	for fd := range 1 << 16 {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			list = append(list, strconv.Itoa(fd))
		}
	}
	if os.WriteFile(args[0], []byte(strings.Join(list, " ")), 0o600) != nil {
		return 1
	}
	return 0
})

// TestLeakedDescriptorsAreClosed, whatever their number, and also those above the limit.
func TestLeakedDescriptorsAreClosed(t *testing.T) {
	for _, h := range []proctest.Launcher{
		{Name: "leaked", Hostile: proctest.Hostile{Leak: proctest.LeakedDescriptors()}},
		{Name: "above the limit", Hostile: proctest.Hostile{Leak: proctest.LeakedDescriptors(),
			NoFile: sys.Rlimit{Soft: 64, Hard: 64}}},
		{Name: "and 0, 1, 2 closed",
			Hostile: proctest.Hostile{Leak: proctest.LeakedDescriptors(), Close: []int{0, 1, 2}}},
	} {
		for _, how := range []string{"Start", "Start by stage", "Detach"} {
			t.Run(h.Name+"/"+how, func(t *testing.T) {
				proctest.CheckLeaks(t)
				file := filepath.Join(t.TempDir(), "open")
				out, err := h.Command(t, leaker.Path(t), how, openFiles.Path(t),
					file).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if got, err := os.ReadFile(file); string(got) != "0 1 2" {
					t.Errorf("open in the target: %s, %v", got, err)
				}
			})
		}
	}
}

// TestSocketActivation wants what sd_listen_fds(3) describes, in the very process that it names.
func TestSocketActivation(t *testing.T) {
	for _, w := range ways() {
		if w.name == "Start by thread" || w.name == "Detach" {
			continue // sockets always go by a stage
		}
		t.Run(w.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			f, err := listener.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := shell(`echo "$$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES $LISTEN_ADDR"; readlink /proc/$$/fd/4; echo "id=$LISTEN_PIDFDID"`)
			s.Env = append(s.Env, "LISTEN_PID=1", "LISTEN_PIDFDID=5", "LISTEN_FDS=77",
				"LISTEN_FDNAMES=stale", "LISTEN_ADDR=kept")
			s.Files = []File{{3, f}, {4, f}}
			s.ListenNames = []string{"web", "admin"}
			text, _ := w.output(t, s)
			// Only the process itself can know its own number, and only on Linux 6.9.
			_, id, _ := strings.Cut(text, "id=")
			if self, err := sys.PidfdID(os.Getpid()); err == nil {
				if n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 64); err != nil ||
					n <= 5 || n == self {
					t.Errorf("LISTEN_PIDFDID=%q, ours is %d", id, self)
				}
			}
			var pid, listenPID int
			var rest string
			first, second, _ := strings.Cut(text, "\n")
			if _, err := fmt.Sscanf(first, "%d %d %s", &pid, &listenPID, &rest); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if pid != listenPID || !strings.HasSuffix(first, " 2 web:admin kept") ||
				!strings.HasPrefix(second, "socket:[") {
				t.Errorf("got %q", text)
			}
		})
	}
	t.Run("Start and Detach choose the stage", func(t *testing.T) {
		if !(&Spec{ListenNames: []string{"x"}}).needsOwnProcess() {
			t.Error("sockets without a process of their own")
		}
	})
}

// TestSourcesStayOpen: the caller keeps its descriptors, and their file status.
func TestSourcesStayOpen(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		r, p, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		s := shell("echo one")
		s.Files = []File{{1, p}}
		w.mustStart(t, s).wait(t)
		if _, err := io.WriteString(p, "two\n"); err != nil {
			t.Error(err)
		}
		p.Close()
		if b, err := io.ReadAll(r); string(b) != "one\ntwo\n" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
	})
}

// TestStrangeStandardInput: a program that links this package and has a socket pair as its standard
// input, as children of Node.js do, is not taken for a stage, and finds all that was written there.
func TestStrangeStandardInput(t *testing.T) {
	for _, data := range []string{
		"", "x", "\x00", "\x00daemonry", stageMagic[:magicLen-1], strings.ToUpper(stageMagic),
		"GET / HTTP/1.1\r\n\r\n", strings.Repeat("\xff", 4096),
	} {
		t.Run(strconv.Quote(data[:min(len(data), 20)]), func(t *testing.T) {
			proctest.CheckLeaks(t)
			ours, theirs, err := sys.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			if err := ours.Send([]byte(data)); err != nil {
				t.Fatal(err)
			}
			if err := ours.Close(); err != nil {
				t.Fatal(err)
			}
			in := os.NewFile(uintptr(theirs), "socket pair")
			defer in.Close()
			cmd := echo.Command(t)
			cmd.Stdin = in
			out, err := cmd.Output()
			if err != nil || string(out) != data {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

// TestSlowStandardInput: nothing has arrived there yet when the program starts.
func TestSlowStandardInput(t *testing.T) {
	proctest.CheckLeaks(t)
	ours, theirs, err := sys.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	in := os.NewFile(uintptr(theirs), "socket pair")
	defer in.Close()
	cmd := echo.Command(t)
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	isExecuting(t, cmd.Process.Pid, "proctest-echo")
	if err := ours.Send([]byte("late")); err != nil {
		t.Error(err)
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(out); string(b) != "late" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// echo copies its standard input to its standard output.
var echo = proctest.Register("echo", func([]string) int {
	if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
		return 1
	}
	return 0
})

// TestStageNeedsItsParent: called by hand, a stage runs nothing of the program's main.
func TestStageNeedsItsParent(t *testing.T) {
	proctest.CheckLeaks(t)
	cmd := echo.Command(t)
	cmd.Args[0] = stageName
	cmd.Stdin = strings.NewReader("must not be read")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != StatusFailed ||
		!strings.HasPrefix(string(out), "daemonry: started as a stage without") {
		t.Errorf("got %q, %v", out, err)
	}
	if slices.Contains(os.Args, stageName) {
		t.Error("the tests are a stage")
	}
}

package spawn

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// filter is a program that reads its standard input, as one that is fed with an upload does. It
// says how many descriptors it has, and then what it has read.
var filter = proctest.Register("filter", func([]string) int {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 1
	}
	if _, err := fmt.Println("descriptors", len(open)); err != nil {
		return 1
	}
	if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
		return 2
	}
	return 0
})

// touch are orders to make a file.
func touch(kind, file string) *orders {
	d := shell("echo >$1", file).describe()
	payload, _ := d.encode()
	return &orders{kind: kind, payload: payload}
}

// uploads are bytes that a stranger sends in the hope that they are obeyed: orders as they are, and
// as they were when they were frames, of each kind. socket is the channel that they will be read
// from, which the stranger has guessed.
func uploads(t *testing.T, file string, socket sys.Channel) [][]byte {
	t.Helper()
	var list [][]byte
	for _, kind := range []string{
		stageMagic, watcherMagic, intermediateMagic, birthMagic, successorMagic,
	} {
		o := touch(kind, file)
		greet, err := greeting(kind, socket, int(socket))
		if err != nil {
			t.Fatal(err)
		}
		old := []byte(kind[:magicLen-1] + "\x01s")
		old = binary.LittleEndian.AppendUint32(old, uint32(len(o.payload)))
		list = append(list, append(greet, o.payload...), append(old, o.payload...), greet,
			greet[:magicLen])
	}
	return list
}

// relay is how somebody gives a child a pair of sockets as its standard input.
type relay struct {
	name string
	pair func() (fds [2]int, err error)
}

var relays = []relay{
	// libuv's uv_spawn: both directions, our end does not block
	{"Node.js", func() ([2]int, error) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.SetNonblock(fds[0], true)
		}
		return fds, err
	}},
	{"socat", func() ([2]int, error) {
		return syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	}},
	{"ksh93", func() ([2]int, error) { // its pipes: each end is closed for one direction
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.Shutdown(fds[0], syscall.SHUT_RD)
		}
		if err == nil {
			err = syscall.Shutdown(fds[1], syscall.SHUT_WR)
		}
		return fds, err
	}},
	{"credentials", func() ([2]int, error) { // which the kernel announces as it does descriptors
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.SetsockoptInt(fds[1], syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
		}
		return fds, err
	}},
	{"packets", func() ([2]int, error) {
		return syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	}},
}

func (r relay) pairOf(t *testing.T) (ours, theirs sys.Channel, in *os.File) {
	t.Helper()
	fds, err := r.pair()
	if err != nil {
		t.Fatal(err)
	}
	in = os.NewFile(uintptr(fds[1]), "socket pair")
	t.Cleanup(func() { in.Close() })
	return sys.Channel(fds[0]), sys.Channel(fds[1]), in
}

// wantData says whether the program took what it was given for what it is.
func wantData(t *testing.T, in *os.File, data []byte, file string) {
	t.Helper()
	cmd := filter.Command(t)
	cmd.Stdin = in
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(withoutFirstLine(out), data) {
		t.Errorf("the program has read %.60q of %.60q, %v", out, data, err)
	}
	plain, err := filter.Command(t).Output() // with /dev/null
	if err != nil || !bytes.HasPrefix(out, plain) {
		t.Errorf("it has %.20q, without orders %q, %v", out, plain, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Errorf("it has obeyed %.60q", data)
	}
}

func withoutFirstLine(out []byte) []byte {
	_, rest, _ := bytes.Cut(out, []byte("\n"))
	return rest
}

// TestDataIsNoOrder: whatever bytes a program is fed with, it reads them, and obeys none.
func TestDataIsNoOrder(t *testing.T) {
	proctest.CheckLeaks(t)
	file := filepath.Join(t.TempDir(), "obeyed")
	for _, r := range relays {
		for i := range uploads(t, file, 0) {
			ours, theirs, in := r.pairOf(t)
			data := uploads(t, file, theirs)[i]
			if err := ours.Send(data); err != nil {
				t.Fatal(err)
			}
			if err := ours.Close(); err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprintf("%s/%d", r.name, i),
				func(t *testing.T) { wantData(t, in, data, file) })
		}
	}
}

// TestDataWithDescriptors: a dispatcher hands a client over together with what that has sent first,
// and somebody has orders that were meant for another.
func TestDataWithDescriptors(t *testing.T) {
	proctest.CheckLeaks(t)
	file := filepath.Join(t.TempDir(), "obeyed")
	spool := named(t, "spool")
	if err := os.Remove(spool.Name()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{
		stageMagic, watcherMagic, intermediateMagic, birthMagic, successorMagic,
	} {
		o := touch(kind, file)
		if _, err := spool.WriteAt(o.payload, 0); err != nil {
			t.Fatal(err)
		}
		sealed, err := sys.SealedFile("upload", o.payload)
		if err != nil {
			t.Fatal(err)
		}
		memory := os.NewFile(uintptr(sealed), "upload")
		t.Cleanup(func() { memory.Close() })
		client := named(t, "client")
		for name, with := range map[string]*os.File{
			"a client": client, "a spooled upload": spool, "a sealed upload": memory,
		} {
			t.Run(fmt.Sprintf("%q/%s", kind, name), func(t *testing.T) {
				ours, theirs, in := relays[0].pairOf(t)
				// It names the socket that it is in, and another file than the one that comes
				// along.
				data, err := greeting(kind, theirs, int(theirs))
				if err != nil {
					t.Fatal(err)
				}
				if err := ours.Send(data, int(with.Fd())); err != nil {
					t.Fatal(err)
				}
				if err := ours.Close(); err != nil {
					t.Fatal(err)
				}
				wantData(t, in, data, file)
			})
		}
		t.Run(fmt.Sprintf("%q/another's", kind), func(t *testing.T) {
			ours, theirs, in := relays[0].pairOf(t)
			end, stranger, other := relays[0].pairOf(t)
			defer end.Close()
			if err := o.send(ours, stranger); err != nil { // for another socket
				t.Fatal(err)
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			data := make([]byte, greetingLen)
			if n, err := theirs.Peek(data); n != len(data) || err != nil {
				t.Fatal(n, err)
			}
			if err := ours.Close(); err != nil {
				t.Fatal(err)
			}
			wantData(t, in, data, file)
		})
	}
}

// TestOrdersOfAStageNeedItsName: what is meant for a stage is data to everybody else.
func TestOrdersOfAStageNeedItsName(t *testing.T) {
	proctest.CheckLeaks(t)
	file := filepath.Join(t.TempDir(), "obeyed")
	for _, kind := range []string{stageMagic, watcherMagic, intermediateMagic} {
		ours, theirs, in := relays[0].pairOf(t)
		if err := touch(kind, file).send(ours, theirs); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, greetingLen)
		if n, err := theirs.Peek(data); n != len(data) || err != nil {
			t.Fatal(n, err)
		}
		if err := ours.Close(); err != nil {
			t.Fatal(err)
		}
		wantData(t, in, data, file)
	}
}

// TestOrdersInEveryKindOfFile: where there are no memory files, or files may not have a byte,
// orders are given all the same.
func TestOrdersInEveryKindOfFile(t *testing.T) {
	proctest.CheckLeaks(t)
	for _, how := range []string{
		"", "no memfd_create", "no memfd_create, no directory", "ulimit -f 0",
	} {
		t.Run(how, func(t *testing.T) {
			cmd := starts.Command(t, how)
			if strings.Contains(how, "no directory") {
				cmd.Env = append(os.Environ(), "TMPDIR=/no/such/directory")
			}
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "started\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

// starts starts a process by way of a stage, in surroundings that args[0] names.
var starts = proctest.Register("starts", func(args []string) int {
	var err error
	switch {
	case strings.HasPrefix(args[0], "no memfd_create"):
		err = proctest.ForbidCall("memfd_create", syscall.EPERM)
	case args[0] == "ulimit -f 0":
		err = sys.Setrlimit(syscall.RLIMIT_FSIZE, sys.Rlimit{})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s := shell("echo started")
	s.Files = []File{{1, os.Stdout}, {2, os.Stderr}}
	s.NoNewPrivs = true
	// more than a pipe has room for at first
	s.Env = append(s.Env, "LONG="+strings.Repeat("x", 100_000))
	pid, err := Start(context.Background(), s)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status.ExitStatus() != 0 {
		fmt.Println(status, err)
		return 1
	}
	return 0
})

// realRelays are programs that pass a stranger's bytes to a child through a pair of sockets.
var realRelays = []struct {
	program string
	args    func(child, upload string) []string
}{
	{"node", func(child, upload string) []string {
		return []string{"-e", `const {spawn} = require("child_process"), fs = require("fs");
			const c = spawn(process.argv[1], [], {stdio: ["pipe", "inherit", "inherit"]});
			c.stdin.end(fs.readFileSync(process.argv[2]));
			c.on("exit", code => process.exit(code))`, child, upload}
	}},
	{"socat", func(child, upload string) []string {
		return []string{"-t10", "FILE:" + upload + ",ignoreeof=0!!STDOUT", "EXEC:" + child}
	}},
	{"ksh93", func(child, upload string) []string {
		return []string{"-c", `cat "$2" | "$1"`, "ksh93", child, upload}
	}},
}

// TestRealRelays does the same with the programs themselves.
func TestRealRelays(t *testing.T) {
	for _, r := range realRelays {
		t.Run(r.program, func(t *testing.T) {
			program, err := exec.LookPath(r.program)
			if err != nil {
				t.Skipf("needs %s: %v", r.program, err)
			}
			proctest.CheckLeaks(t)
			dir := t.TempDir()
			file, upload := filepath.Join(dir, "obeyed"), filepath.Join(dir, "upload")
			for _, data := range uploads(t, file, 0) {
				if err := os.WriteFile(upload, data, 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(program, r.args(filter.Path(t), upload)...)
				out, err := cmd.Output()
				if err != nil || !bytes.Equal(withoutFirstLine(out), data) {
					t.Errorf("read %.80q of %.80q, %v", out, data, err)
				}
				if _, err := os.Stat(file); err == nil {
					t.Fatalf("it has obeyed %.60q", data)
				}
			}
		})
	}
}

// TestInFlight: as many descriptors of this user are on their way as there may be. A start says so,
// and does not wait for what can not come.
func TestInFlight(t *testing.T) {
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		proctest.CheckLeaks(t)
		ours, theirs, err := sys.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		defer ours.Close()
		for range 2 * crowd {
			if err := ours.Send([]byte("x"), int(ours)); err != nil {
				t.Fatal(err)
			}
		}
		out, err := crowded.Command(t).CombinedOutput()
		const why = "start stage: too many descriptors of this user are in flight"
		if err != nil || strings.Count(string(out), why) != 3 {
			t.Errorf("%s, %v", out, err)
		}
		for range 2 * crowd { // with nobody's descriptors in a queue that only it keeps alive
			if _, files, err := theirs.Recv(make([]byte, 1)); err != nil {
				t.Fatal(err)
			} else {
				closeAll(files)
			}
		}
	})
}

const crowd = 64

// crowded starts in every way, with a limit that the user has reached.
var crowded = proctest.Register("crowded", func([]string) int {
	if err := sys.Setrlimit(syscall.RLIMIT_NOFILE,
		sys.Rlimit{Soft: crowd, Hard: crowd}); err != nil {
		fmt.Println(err)
		return 1
	}
	s := shell("echo started")
	s.NoNewPrivs = true
	_, err := Start(context.Background(), s)
	fmt.Println(err)
	_, err = Detach(context.Background(), s)
	fmt.Println(err)
	_, err = StartSuccessorApart(context.Background(), s, os.Stdin, nil)
	fmt.Println(err)
	return 0
})

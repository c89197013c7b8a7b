package proctest

import (
	"bytes"
	native "encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Silence is how a file system does not answer.
type Silence string

// File systems that do not answer.
const (
	// NeverBegun takes no request at all. A process that waits for it can be killed.
	NeverBegun Silence = "never begun"
	// Deaf takes every request and answers none. A process that waits for it does not die of
	// SIGKILL either (request_wait_answer in fs/fuse/dev.c).
	Deaf Silence = "deaf"
	// NamesOnly says of every name that it is there: of "dir" that it is a directory, of others
	// that they are programs that everybody may execute; of "missing", that it is not. Like Deaf it
	// keeps silent when something is done with them: a directory entered, a file opened.
	NamesOnly Silence = "names only"
)

// hungfs serves a FUSE file system at args[0], until there is something to read on its standard
// input.
var hungfs = func() *Program {
	p := Register("hungfs", func(args []string) int {
		if err := serveSilence(args[0], Silence(args[1])); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	})
	p.owned = true
	return p
}()

// HungFS mounts a file system that does not answer and returns where. When the test ends, all that
// waits for it gets an error (ENOTCONN). Nobody but root may mount: an ordinary user has HoldOpens.
func HungFS(t testing.TB, how Silence) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := hungfs.Command(t, dir, string(how))
	awaitWord(t, cmd)
	return dir
}

// HoldOpens makes everybody's open(2) and execve(2) of a file of ours wait until the test ends, or
// 45 s are over: the time that the holder of a lease has to give it up (fcntl(2);
// /proc/sys/fs/lease-break-time).
func HoldOpens(t testing.TB, file string) {
	t.Helper()
	awaitWord(t, leaser.Command(t, file))
}

// leaser holds a lease on the file args[0], until there is something to read on its standard input.
var leaser = func() *Program {
	p := Register("leaser", func(args []string) int {
		f, err := os.Open(args[0])
		if err == nil {
			_, _, e := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_SETLEASE,
				syscall.F_WRLCK)
			if e != 0 {
				err = os.NewSyscallError("fcntl(F_SETLEASE)", e)
			}
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(isServing)
		_, _ = os.Stdin.Read(make([]byte, 1))
		return 0
	})
	p.owned = true
	return p
}()

const isServing = "serving"

// awaitWord starts a server, waits until it serves, and ends it after the test.
func awaitWord(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Not only closed: a process that waits in execve(2) has that end open too.
		if _, err := in.Write([]byte{0}); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	word := make([]byte, len(isServing))
	if _, err := io.ReadFull(out, word); err != nil || string(word) != isServing {
		rest, _ := io.ReadAll(out)
		t.Fatalf("%v: %s%s", err, word, rest)
	}
}

func serveSilence(dir string, how Silence) error {
	device, err := openFUSE(dir)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device)
	if err := syscall.Mount("hungfs", dir, "fuse", syscall.MS_NOSUID|syscall.MS_NODEV,
		options); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if how != NeverBegun {
		go answer(device, how)
	}
	fmt.Println(isServing)
	_, _ = os.Stdin.Read(make([]byte, 1))
	return os.NewSyscallError("umount", syscall.Unmount(dir, syscall.MNT_DETACH))
}

// openFUSE opens /dev/fuse. A container may be without it, and have the right to make it.
func openFUSE(dir string) (int, error) {
	const path = "/dev/fuse"
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if !errors.Is(err, syscall.ENOENT) {
		return fd, os.NewSyscallError("open "+path, err)
	}
	node := dir + "/fuse"
	if err := syscall.Mknod(node, syscall.S_IFCHR|0o600, 10<<8|229); err != nil {
		return -1, os.NewSyscallError("mknod", err)
	}
	defer os.Remove(node)
	fd, err = syscall.Open(node, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open "+node, err)
}

// Requests of linux/fuse.h.
const (
	fuseLookup  = 1
	fuseGetattr = 3
	fuseStatfs  = 17
	fuseInit    = 26
	fuseStatx   = 52 // since Linux 6.6; without it fuseGetattr is asked
)

// Inodes.
const (
	dirNode  = 2
	fileNode = 3
)

// answer answers what it is to answer until the file system is unmounted.
func answer(device int, how Silence) {
	request := make([]byte, 1<<18) // at least max_write and its header
	for {
		n, err := syscall.Read(device, request)
		switch {
		case err == syscall.EINTR || err == syscall.ENOENT: // taken back
			continue
		case err != nil || n < 40:
			return
		}
		// struct fuse_in_header: length, opcode, unique, node, …
		opcode, unique := native.NativeEndian.Uint32(request[4:]), request[8:16]
		node := native.NativeEndian.Uint64(request[16:])
		reply, known := replyTo(opcode, node, request[40:n], how)
		if !known {
			continue
		}
		head := native.NativeEndian.AppendUint32(nil, uint32(16+len(reply.b)))
		head = native.NativeEndian.AppendUint32(head, uint32(-reply.errno))
		if _, err := syscall.Write(device,
			append(append(head, unique...), reply.b...)); err != nil && err != syscall.ENOENT {
			return
		}
	}
}

type fuseReply struct {
	b     []byte
	errno int32
}

func (r *fuseReply) u32(list ...uint32) {
	for _, v := range list {
		r.b = native.NativeEndian.AppendUint32(r.b, v)
	}
}

func (r *fuseReply) u64(list ...uint64) {
	for _, v := range list {
		r.b = native.NativeEndian.AppendUint64(r.b, v)
	}
}

// attr is a struct fuse_attr.
func (r *fuseReply) attr(node uint64) {
	mode := uint32(syscall.S_IFREG | 0o755)
	if node != fileNode {
		mode = syscall.S_IFDIR | 0o755
	}
	r.u64(node, 4096, 8, 0, 0, 0)
	r.u32(0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
}

// replyTo is what the request is answered with, if it is.
func replyTo(opcode uint32, node uint64, body []byte, how Silence) (r fuseReply, known bool) {
	const longTime = uint64(time.Hour / time.Second)
	if opcode == fuseInit {
		r.u32(7, 31, 4096, 0, 0, 1<<16, 1, 0)
		r.u64(0, 0, 0, 0)
		return r, true
	}
	if how != NamesOnly {
		return r, false
	}
	switch opcode {
	case fuseLookup:
		name, _, _ := bytes.Cut(body, []byte{0})
		node := uint64(fileNode)
		switch string(name) {
		case "missing":
			return fuseReply{errno: int32(syscall.ENOENT)}, true
		case "dir":
			node = dirNode
		}
		r.u64(node, 0, longTime, longTime, 0)
		r.attr(node)
	case fuseGetattr:
		r.u64(longTime, 0)
		r.attr(node)
	case fuseStatfs:
		r.u64(1, 0, 0, 1, 0)
		r.u32(4096, 255, 4096, 0)
		r.u64(0, 0, 0)
	case fuseStatx:
		r.errno = int32(syscall.ENOSYS)
	default:
		return r, false
	}
	return r, true
}

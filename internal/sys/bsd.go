//go:build unix && !aix && !linux

package sys

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// numbers are what x/sys names on some of these systems only, as their headers have them; 0 is what
// a system has not.
var numbers = map[string]struct {
	clockMonotonic                   int32
	cmsgCloexec, reusePort, rlimitAS int
}{
	"darwin":    {6, 0, 0x200, 5},
	"dragonfly": {4, 0x1000, 0x200, 10},
	"freebsd":   {4, 0x40000, 0x200, 10},
	"illumos":   {4, 0, 0, 6},
	"netbsd":    {3, 0x800, 0x200, 10},
	"openbsd":   {3, 0x800, 0x200, 0},
	"solaris":   {4, 0, 0, 6},
}[runtime.GOOS]

var (
	clockMonotonic = numbers.clockMonotonic
	cmsgCloexec    = numbers.cmsgCloexec
	reusePort      = numbers.reusePort
)

// RlimitNumber: OpenBSD has no limit of the address space (getrlimit(2)).
func RlimitNumber(name string) (int, bool) {
	if name == "as" {
		return numbers.rlimitAS, numbers.rlimitAS != 0
	}
	n, ok := map[string]int{
		"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
		"fsize": unix.RLIMIT_FSIZE, "nofile": unix.RLIMIT_NOFILE, "stack": unix.RLIMIT_STACK,
	}[name]
	return n, ok
}

func socketPair() ([2]int, error) {
	// ForkLock keeps another goroutine's fork away from the moment between socketpair and
	// close-on-exec: darwin has no SOCK_CLOEXEC.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	return fds, err
}

func (c Channel) PeekFile(p []byte) (int, int, error) {
	n, err := c.Peek(p)
	if err == nil {
		err = Unsupported("recvmsg(MSG_PEEK) of descriptors")
	}
	return n, -1, err
}

func dup2Call(oldfd, newfd int) error { return unix.Dup2(oldfd, newfd) }

func openDescriptors() int { return 0 }

func SealDescriptors(from int) error {
	// /dev/fd shows only 0 to 2 on a BSD without fdescfs, and nothing tells that
	// apart from a process that has no others: every number is tried.
	return sealTried(from)
}

// fionread is _IOR('f', 127, int), the same on the BSDs, macOS, illumos and AIX;
// x/sys does not define it for all of them.
const fionread = 0x4004667f

func PipeFill(fd int) (int, error) {
	n, err := unix.IoctlGetInt(fd, fionread)
	return n, wrap("ioctl(FIONREAD)", err)
}

func NewPipe() (int, int, error) {
	var p [2]int
	// ForkLock keeps a concurrent fork from inheriting the ends before they are
	// close-on-exec: macOS has no pipe2.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(p[:]); err != nil {
		return -1, -1, wrap("pipe", err)
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(p[0])
			unix.Close(p[1])
			return -1, -1, wrap("fcntl(F_SETFL)", err)
		}
	}
	return p[0], p[1], nil
}

func sealedMemory(string, []byte) (int, error) { return -1, Unsupported("memfd_create") }
func sealed(int) bool                          { return false }
func widenPipe(int, int)                       {}

// One kernel table holds flock and fcntl locks on these systems, so F_GETLK
// sees a flock lock too (with process id -1).
func LockedByOther(f *os.File) (bool, error) {
	return queryLock(f, "fcntl(F_GETLK)", unix.F_GETLK, unix.F_WRLCK)
}

func openInputAs(string, Credential) (*os.File, error) { return nil, Unsupported("setfsuid") }

// nameless says whether a pipe is one of pipe(2), which these systems name in /dev/fd alone.
func nameless(f *os.File) bool { return strings.HasPrefix(f.Name(), "/dev/fd/") }

// place holds a directory by its name: without O_PATH a directory that may be
// searched but not read could not be held at all. Somebody who may write a
// directory on the way can exchange a component between two looks at it; the
// last component is compared after opening.
type place struct{ path string }

func openPlace(path string) (place, error) { return place{path}, nil }
func (p place) close()                     {}
func (p place) stat() (fs.FileInfo, error) { return os.Stat(p.path) }

// join keeps "..": filepath.Join would cut off the component before it, which
// may have been a link of /proc or a mount.
func (p place) join(name string) string { return p.path + string(filepath.Separator) + name }

func (p place) lookup(name string) (entry, error) {
	fi, err := os.Lstat(p.join(name))
	return entry{place{p.join(name)}, fi}, err
}

func (p place) readlink(name string, _ entry) (string, error) { return os.Readlink(p.join(name)) }

// magic: only Linux has links that are more than their text.
func (p place) magic(entry) bool { return false }

func (p place) enterMagic(string) (place, error) { return place{}, Unsupported("magic link") }

func (p place) openMagic(string, string, int) (*os.File, error) {
	return nil, Unsupported("magic link")
}

func (p place) open(name, _ string, flags int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(p.join(name), flags|unix.O_NOFOLLOW, mode)
}

func (p place) remove(name string) error {
	if err := os.Remove(p.join(name)); err != nil {
		return fmt.Errorf("remove it again: %w", err)
	}
	return nil
}

// mkdir makes a directory. Nobody can enter it who may not do so when it has its owner and its
// mode.
func (p place) mkdir(name string, mode fs.FileMode, owner Owner) error {
	if err := os.Mkdir(p.join(name), mode.Perm()&0o700); err != nil {
		return err
	}
	if err := os.Lchown(p.join(name), owner.UID, owner.GID); err != nil {
		return err
	}
	return os.Chmod(p.join(name), mode.Perm()) // of what is ours, in what nobody else can exchange
}

// poller hands the whole armed set to poll(2) each time: slower than kqueue for
// thousands of descriptors, but the same everywhere.
type Poller struct {
	set      map[int]*pollEntry
	raw      []unix.PollFd
	wakeRead int
	wakeSend int
}

type pollEntry struct {
	key   int32
	armed bool
}

func NewPoller() (*Poller, error) {
	r, w, err := NewPipe()
	if err != nil {
		return nil, err
	}
	return &Poller{set: make(map[int]*pollEntry), wakeRead: r, wakeSend: w}, nil
}

func (p *Poller) Add(fd int, key int32) error {
	p.set[fd] = &pollEntry{key: key, armed: true}
	return nil
}

func (p *Poller) Arm(fd int, key int32) error { return p.Add(fd, key) }

func (p *Poller) Remove(fd int) error {
	delete(p.set, fd)
	return nil
}

func (p *Poller) Wait(events []PollEvent, timeout time.Duration) (int, error) {
	p.raw = append(p.raw[:0], unix.PollFd{Fd: int32(p.wakeRead), Events: unix.POLLIN})
	for fd, e := range p.set {
		if e.armed {
			p.raw = append(p.raw, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	if _, err := unix.Poll(p.raw, ms); err == unix.EINTR {
		return 0, nil
	} else if err != nil {
		return 0, wrap("poll", err)
	}
	if p.raw[0].Revents != 0 {
		var b [64]byte
		for n := len(b); n == len(b); {
			n, _ = unix.Read(p.wakeRead, b[:]) // EAGAIN ends it with -1
		}
	}
	out := 0
	for _, f := range p.raw[1:] {
		if f.Revents == 0 || out == len(events) {
			continue
		}
		e := p.set[int(f.Fd)]
		e.armed = false
		events[out] = PollEvent{
			Key:    e.key,
			Read:   f.Revents&unix.POLLIN != 0,
			Hangup: f.Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0,
		}
		out++
	}
	return out, nil
}

func (p *Poller) Wake() error {
	_, err := retry1(func() (int, error) { return unix.Write(p.wakeSend, []byte{0}) })
	if err == unix.EAGAIN { // the pipe is full of wakes
		return nil
	}
	return wrap("write(wake pipe)", err)
}

func (p *Poller) Close() error {
	unix.Close(p.wakeSend)
	return wrap("close(wake pipe)", unix.Close(p.wakeRead))
}

func SetThreadCredential(c Credential, keep KeepCaps) error {
	if keep == RetainCaps {
		return Unsupported("keeping capabilities")
	}
	if err := syscall.Setgroups(c.groups()); err != nil {
		if have, e := syscall.Getgroups(); e != nil || !sameGroups(have, c.Groups) {
			return wrap("setgroups", err)
		}
	}
	if err := syscall.Setgid(int(c.GID)); err != nil {
		return wrap("setgid", err)
	}
	return wrap("setuid", syscall.Setuid(int(c.UID)))
}

func SetProcessCredential(c Credential) error { return SetThreadCredential(c, DropCaps) }

func OpenThreads() (*os.File, error) { return nil, nil } // a process has one user here

func VerifyProcessCredential(c Credential, _ *os.File) error { return VerifyCredential(c, 0) }

func MaySetGroups() bool { return syscall.Geteuid() == 0 }

func VerifyCredential(c Credential, _ CapSet) error {
	if u, e := syscall.Getuid(), syscall.Geteuid(); u != int(c.UID) || e != int(c.UID) {
		return fmt.Errorf("uid is %d/%d, not %d", u, e, c.UID)
	}
	if g, e := syscall.Getgid(), syscall.Getegid(); g != int(c.GID) || e != int(c.GID) {
		return fmt.Errorf("gid is %d/%d, not %d", g, e, c.GID)
	}
	if c.UID != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("root could be regained after it was given up")
	}
	return nil
}

func OpenSocket(domain, kind int) (int, error) {
	// Not every system has SOCK_CLOEXEC; ForkLock keeps another goroutine's fork
	// away until the descriptor is marked.
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(domain, kind, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, wrap("socket", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, wrap("fcntl", err)
	}
	return fd, nil
}

func sockaddr(a Address) (unix.Sockaddr, error) {
	if a.Unix == "" || a.Unix[0] == '@' {
		return nil, unix.EAFNOSUPPORT // neither abstract names nor vsock here
	}
	return &unix.SockaddrUnix{Name: a.Unix}, nil
}

func PassCredentials(int) error { return nil }

const credentialSpace = 0

func credentialMessage(Sender) ([]byte, error) { return nil, Unsupported("SCM_CREDENTIALS") }

func (p *Packet) takeCredentials(*unix.SocketControlMessage) error { return nil }

func recvCloexec(fd int, p, oob []byte) (n, oobn, flags int, err error) {
	// MSG_CMSG_CLOEXEC is missing on darwin and illumos: as in openSocket. The
	// call does not wait, so the lock is held only for a moment.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, oobn, flags, _, err = unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT)
	if oobn > 0 {
		var got Packet
		if got.takeControl(oob[:oobn]) == nil { // recvMsg reports the error
			for _, f := range got.Files {
				unix.CloseOnExec(f)
			}
		}
	}
	return n, oobn, flags, err
}

// Of OpenDir.
const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

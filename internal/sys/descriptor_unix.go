//go:build unix && !aix

package sys

import (
	"errors"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dup2 makes newfd a copy of oldfd without close-on-exec (the two must differ).
func Dup2(oldfd, newfd int) error {
	// dup3 is missing on some platforms and dup2 on others (linux/arm64), so
	// each has its own dup2Call.
	return wrap("dup2", retry(func() error { return dup2Call(oldfd, newfd) }))
}

// DupAbove copies fd to a close-on-exec descriptor numbered min or higher.
func DupAbove(fd, min int) (int, error) {
	n, err := retry1(func() (int, error) {
		return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, min)
	})
	return n, wrap("fcntl", err)
}

// SetCloseOnExec sets or clears close-on-exec of fd; an error means, with EBADF, that fd is not
// open.
func SetCloseOnExec(fd int, on bool) error {
	flags := 0
	if on {
		flags = unix.FD_CLOEXEC
	}
	_, err := retry1(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags) })
	return wrap("fcntl", err)
}

// DescriptorOpen says whether fd is an open descriptor of this process.
func DescriptorOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// TakesWords says whether fd is open for writing, and of something that has a type: a file, a pipe,
// a socket, a device. What Linux makes for epoll(7) and the like has none.
func TakesWords(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE == unix.O_RDONLY {
		return false
	}
	var st unix.Stat_t
	err = retry(func() error { return unix.Fstat(fd, &st) })
	return err == nil && st.Mode&unix.S_IFMT != 0
}

// sealTried marks every number up to the hard limit of open files: a
// descriptor above the soft limit stays open when the limit is lowered under it,
// one above the hard limit can only come from a launcher that lowered both.
func sealTried(from int) error {
	lim, err := Getrlimit(syscall.RLIMIT_NOFILE)
	if err != nil {
		return err
	}
	for fd, max := from, int(min(lim.Hard, 1<<20)); fd < max; fd++ {
		if err := SetCloseOnExec(fd, true); err != nil && !errors.Is(err, syscall.EBADF) {
			return err
		}
	}
	return nil
}

// HaveDescriptors says whether this process could open n more files at this moment: nil, or the
// error of the open that would fail (EMFILE: the process's limit, ENFILE: the system's). It takes
// that many for an instant, or one where the kernel says how many are open.
func HaveDescriptors(n int) error {
	if open := openDescriptors(); open > 0 && uint64(open+n) <= MostDescriptors() {
		n = min(n, 1)
	}
	fds, err := spareDescriptors(n)
	closeAllFDs(fds)
	return err
}

// Reserve is a number of descriptors that nothing in the process can take before they are released.
// The zero value is empty. Its methods may be called from any goroutine.
type Reserve struct {
	mu  sync.Mutex
	fds []int
}

// Fill has n descriptors in the reserve. The error is why there are fewer; those that could be had
// are kept.
func (r *Reserve) Fill(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fds) >= n {
		return nil
	}
	more, err := spareDescriptors(n - len(r.fds))
	r.fds = append(r.fds, more...)
	return err
}

// Release gives all that is in it back and says how many that are.
func (r *Reserve) Release() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.fds)
	closeAllFDs(r.fds)
	r.fds = nil
	return n
}

func closeAllFDs(fds []int) {
	for _, fd := range fds {
		CloseFD(fd) // nothing is written through it, and the number is free in any case (close(2))
	}
}

// spareDescriptors opens n descriptors of nothing. With an error the list has those that could be
// had.
func spareDescriptors(n int) (fds []int, err error) {
	if n <= 0 {
		return nil, nil
	}
	first, err := OpenUnixDatagram() // needs nothing of the file system
	if err != nil {
		return nil, err
	}
	fds = append(make([]int, 0, n), first)
	for len(fds) < n {
		fd, err := unix.FcntlInt(uintptr(first), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fds, wrap("fcntl(F_DUPFD_CLOEXEC)", err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// MostDescriptors is how many files this process may have open (RLIMIT_NOFILE), 0 if nobody can
// say.
func MostDescriptors() uint64 {
	lim, _ := Getrlimit(syscall.RLIMIT_NOFILE)
	return lim.Soft
}

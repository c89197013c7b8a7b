package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// origin is what can be said about where a descriptor above 2 came from.
type origin uint8

const (
	own       origin = iota // made by the program, or handed to it on purpose
	unknown                 // made by the program or inherited
	inherited               // left over
)

// otherDescriptors judges what is open above 2. A descriptor that execve
// closes was made by this program. Of the others the kernel does not record who
// opened them, so it goes by kind: what launchers leak (files, terminals, devices,
// pipes) fails, what servers make (sockets they serve, event queues) does not.
func (f *facts) otherDescriptors() finding {
	if f.fdsErr != nil {
		return mayNotLook("its descriptors", f.fdsErr)
	}
	var count [inherited + 1]int
	var details []string
	for _, fd := range f.fds {
		if fd.Number <= 2 {
			continue
		}
		from, why := f.origin(fd)
		count[from]++
		if from != own || !fd.CloseOnExec() {
			details = append(details, show(fd)+": "+why)
		}
	}
	total := count[own] + count[unknown] + count[inherited]
	found := passf("none is open above 2")
	switch {
	case count[inherited] > 0:
		found = failf("%s of %d above 2 left open by whoever started it",
			plural(count[inherited], "descriptor"), total)
	case count[unknown] > 0:
		found = unseenf(
			"%s of %d above 2: opened by the program or left over, the kernel does not tell",
			plural(count[unknown], "descriptor"), total,
		)
	case total > 0:
		found = passf("%s above 2, none left over", plural(total, "descriptor"))
	}
	found.details = details
	return found
}

// show returns "5 -> /var/log/x (O_WRONLY|O_APPEND)".
func show(fd sys.FD) string {
	return fmt.Sprintf("%d -> %s (%s)", fd.Number, clean(fd.Target), fd.FlagNames())
}

func (f *facts) origin(fd sys.FD) (origin, string) {
	switch {
	case fd.CloseOnExec():
		return own, "execve closes it, so the program opened it"
	case f.passed(fd.Number):
		return own, "passed on purpose, in LISTEN_FDS"
	case f.expected(fd.File):
		return own, "named as one of its files"
	case slices.Contains(fd.LockedBy, f.stat.PID):
		// Not one that came with an inherited descriptor: that bears the pid of whoever took it.
		return own, "it holds a lock on it"
	case f.lifeLock(fd):
		return own, "its pid file, locked for its life"
	case isEventQueue(fd):
		return own, "an event queue"
	case isTerminal(fd):
		return inherited, "a terminal"
	case strings.HasPrefix(fd.Target, "anon_inode:"), strings.HasPrefix(fd.Target, "/memfd:"):
		return unknown, "not close-on-exec"
	case fd.File.Is(syscall.S_IFSOCK):
		return f.socketOrigin(fd)
	case strings.HasPrefix(fd.Target, "pipe:"):
		return f.pipeOrigin(fd)
	case fd.File.Is(syscall.S_IFREG) && fd.File.Birth.After(f.started):
		return own, "the file is younger than the process"
	}
	return inherited, "not close-on-exec"
}

// passed says whether the descriptor is one of those that LISTEN_FDS counts
// and LISTEN_PID addresses to this very process (sd_listen_fds(3)).
func (f *facts) passed(fd int) bool {
	env := f.variables()
	return env.addressedTo("LISTEN_PID", f.stat.PID) && fd >= 3 && fd-3 < env.number("LISTEN_FDS")
}

func (f *facts) expected(file sys.FileStat) bool {
	return slices.ContainsFunc(f.known, file.Same)
}

// lifeLock says whether the descriptor is the lock on a pid file of the process, as "daemonry
// detach" hands it down: locked, and its pid is what is in it.
func (f *facts) lifeLock(fd sys.FD) bool {
	if len(fd.LockedBy) == 0 || !fd.File.Is(syscall.S_IFREG) || fd.File.Size > 20 {
		return false
	}
	text, err := sys.ReadOpenFile(f.stat.PID, fd.Number)
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(f.stat.PID)
}

// isEventQueue recognises what a process makes for its own event loop. To
// another program it would be of no use.
func isEventQueue(fd sys.FD) bool {
	switch strings.TrimPrefix(fd.Target, "anon_inode:") {
	case "[eventpoll]", "[eventfd]", "[timerfd]", "[signalfd]", "[io_uring]",
		"[fanotify]", "inotify":
		return true
	}
	return false
}

func isTerminal(fd sys.FD) bool {
	if !fd.File.Is(syscall.S_IFCHR) {
		return false
	}
	is, err := sys.TerminalDevice(fd.File.Rdev)
	if err != nil {
		// /proc/tty is masked in some containers: the numbers are fixed all the
		// same (admin-guide/devices.txt): consoles and serial lines, /dev/tty, /dev/pts.
		return strings.HasPrefix(fd.Target, "/dev/pts/") ||
			strings.HasPrefix(fd.Target, "/dev/tty") || fd.Target == "/dev/console"
	}
	return is
}

// pipeOrigin tells an inherited pipe from one that the program made to wake
// itself up: it holds both ends of the latter, and it is not older than the process.
func (f *facts) pipeOrigin(fd sys.FD) (origin, string) {
	// Each end has a date of its own only in the common inode, which reading
	// and writing move forward: the earliest of the three is at or after its making.
	const slack = 100 * time.Millisecond // ticks of 10 ms, and a clock that is being slewed
	file := fd.File
	for _, at := range []time.Time{file.Access, file.Modify, file.Change} {
		if at.Before(f.started.Add(-slack)) {
			return inherited, "older than the process"
		}
	}
	for _, other := range f.fds {
		if other.File.Same(file) && other.Writable() != fd.Writable() {
			return unknown, "not close-on-exec, and it holds both ends"
		}
	}
	return inherited, "not close-on-exec, and another process has the other end"
}

func (f *facts) socketOrigin(fd sys.FD) (origin, string) {
	socket := f.socketOf(fd)
	switch {
	case socket.serves && !f.setsUp():
		return unknown, "listens at " + clean(socket.address) + ", not close-on-exec"
	case socket.serves:
		return own, "serves " + clean(socket.address)
	case socket.accepted:
		return own, "a client of " + clean(socket.address)
	}
	return unknown, "a socket, not close-on-exec"
}

// standardDescriptors judges 0, 1 and 2: open, in the right direction, and no
// terminal. A log file, a FIFO, a pipe or a socket is as good as /dev/null.
func (f *facts) standardDescriptors() finding {
	if f.fdsErr != nil {
		return mayNotLook("its descriptors", f.fdsErr)
	}
	var wrong, shown []string
	for n := range 3 {
		fd, open := f.descriptor(n)
		if !open {
			wrong = append(wrong,
				fmt.Sprintf("%d is closed: the next file opened will be taken for it", n))
			continue
		}
		shown = append(shown, show(fd))
		switch {
		case isTerminal(fd):
			wrong = append(wrong, fmt.Sprintf("%d is the terminal %s", n, clean(fd.Target)))
		case n == 0 && !fd.Readable():
			wrong = append(wrong, fmt.Sprintf("0 cannot be read (%s)", fd.FlagNames()))
		case n > 0 && !fd.Writable():
			wrong = append(wrong, fmt.Sprintf("%d cannot be written (%s)", n, fd.FlagNames()))
		}
	}
	if len(wrong) > 0 {
		return finding{Fail, strings.Join(wrong, "; "), shown}
	}
	return passf("%s", strings.Join(shown, ", "))
}

func (f *facts) descriptor(n int) (sys.FD, bool) {
	i := slices.IndexFunc(f.fds, func(fd sys.FD) bool { return fd.Number == n })
	if i < 0 {
		return sys.FD{}, false
	}
	return f.fds[i], true
}

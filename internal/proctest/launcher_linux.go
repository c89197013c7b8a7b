package proctest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// launcher is the program that puts itself in a hostile state and executes.
var launcher = registerOwn("hostile-launcher", launcherMain)

// launchFailed is the exit status of the launcher when it did not get to
// execute the command: none that the programs under test use.
const launchFailed = 99

// launch is the order to the launcher.
type launch struct {
	Hostile
	Argv       []string
	TerminalFD int // the descriptor of the terminal, to be closed; 0 for none
}

func registerOwn(name string, main func(args []string) int) *Program {
	p := Register(name, main)
	p.owned = true
	return p
}

func launcherMain(args []string) int {
	// The signal mask belongs to the thread that executes.
	runtime.LockOSThread()
	var l launch
	if err := json.Unmarshal([]byte(args[0]), &l); err != nil {
		fmt.Fprintln(os.Stderr, "hostile launcher:", err)
		return launchFailed
	}
	// No Go file may be opened in here: its poller would lose its descriptors
	// to the leaked ones and end the process.
	complain, err := sys.DupAbove(2, slices.Max(append(l.Leak, 2))+1)
	if err == nil {
		err = l.execute()
	}
	// nobody is left to hear of a failure here
	_, _ = syscall.Write(complain, []byte("hostile launcher: "+err.Error()+"\n"))
	return launchFailed
}

// execute puts the process in its state and becomes the command; it returns
// only with an error. The order matters: what is done by path comes before the
// directory is deleted, descriptors are opened before their limit falls and
// 0, 1 and 2 go last.
func (l launch) execute() error {
	env := os.Environ()
	if l.NoEnv {
		env = nil
	}
	env = append(env, l.Env...)
	steps := []func() error{l.closeTerminal, l.setUmask, l.leak, l.limit, l.signals, l.deleteDir,
		l.closeStandard}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return os.NewSyscallError("execve "+l.Argv[0], syscall.Exec(l.Argv[0], l.Argv, env))
}

func (l launch) closeTerminal() error {
	if l.TerminalFD == 0 {
		return nil
	}
	return sys.CloseFD(l.TerminalFD)
}

func (l launch) setUmask() error {
	if l.Umask == "" {
		return nil
	}
	mask, err := strconv.ParseUint(l.Umask, 8, 12)
	if err != nil {
		return err
	}
	sys.Umask(int(mask))
	return nil
}

// leak opens a file of each kind in turn until every number is taken.
func (l launch) leak() error {
	for i, n := range l.Leak {
		if inherited(n) {
			continue // an ExtraFile of the caller, which leaks as well
		}
		fd, err := openKind(i)
		if err != nil {
			return err
		}
		// Out of the way first: the new descriptor may be the very number.
		high, err := sys.DupAbove(fd, slices.Max(l.Leak)+1)
		if err != nil {
			return fmt.Errorf("leak %d: %w", n, err)
		}
		if err := errors.Join(sys.CloseFD(fd), sys.Dup2(high, n), sys.CloseFD(high)); err != nil {
			return fmt.Errorf("leak %d: %w", n, err)
		}
	}
	return nil
}

// inherited says whether a descriptor survives execve. What does not is the
// runtime's own (it keeps the files of its cgroup open), which does without it
// for the moment until we execute.
func inherited(fd int) bool {
	flags, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno == 0 && flags&syscall.FD_CLOEXEC == 0
}

// openKind opens a descriptor of the i'th kind: a device, a directory, a
// socket, a pipe.
func openKind(i int) (int, error) {
	switch i % 4 {
	case 0:
		fd, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		return fd, os.NewSyscallError("open /dev/null", err)
	case 1:
		fd, err := syscall.Open("/", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		return fd, os.NewSyscallError("open /", err)
	case 2:
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		return fd, os.NewSyscallError("socket", err)
	default:
		var p [2]int
		if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
			return -1, os.NewSyscallError("pipe2", err)
		}
		return p[0], sys.CloseFD(p[1])
	}
}

func (l launch) limit() error {
	if l.NoFile == (sys.Rlimit{}) {
		return nil
	}
	return sys.Setrlimit(syscall.RLIMIT_NOFILE, l.NoFile)
}

func (l launch) signals() error {
	for _, sig := range l.Ignore {
		signal.Ignore(sig) // without any, all would be
	}
	var mask sys.SignalSet
	for _, sig := range l.Block {
		mask = mask.Add(sig)
	}
	_, err := sys.SetSignalMask(mask)
	return err
}

// deleteDir makes a directory in /tmp, whatever TMPDIR says: the environment
// may be empty.
func (l launch) deleteDir() error {
	if !l.DeletedDir {
		return nil
	}
	dir := "/tmp/proctest-deleted-" + strconv.Itoa(os.Getpid())
	if err := syscall.Mkdir(dir, 0o700); err != nil {
		return os.NewSyscallError("mkdir", err)
	}
	if err := syscall.Chdir(dir); err != nil {
		return os.NewSyscallError("chdir", err)
	}
	return os.NewSyscallError("rmdir", syscall.Rmdir(dir))
}

func (l launch) closeStandard() error {
	for _, fd := range l.Close {
		if err := sys.CloseFD(fd); err != nil {
			return err
		}
	}
	return nil
}

// Package spawn starts a process exactly as described, or says which step failed.
//
// A birth has two halves, because Go cannot run code between fork and exec and
// syscall.SysProcAttr knows nothing of umask, limits, signal masks,
// LISTEN_PID or a second fork. The parent half checks what can be checked and starts;
// the stage, a re-execution of our own binary that runs none of the program's
// main, applies the rest in the order of the Step constants and executes the
// target. What needs no process of its own is applied on a thread of ours and
// the target started from it directly: half the cost, and the same code.
//
//	Start    parent ── thread or stage ── target        the target is the caller's child
//	Detach   parent ── watcher ── [stage] ── target     the target is nobody's child in the end
//
// The watcher is a stage that leads the new session, has the target as its
// child until the parent lets go of it, and takes back every descendant of the
// target that goes astray until then. Its exit completes the second fork of daemon(7).
package spawn

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// Spec describes a process completely. The zero value of every field but Path
// and Args leaves things as they are, with these exceptions, which hold always:
// every signal is at its default and unblocked, descriptors 0, 1 and 2 are open
// (on /dev/null unless Files says otherwise), and no other descriptor is
// passed on but those in Files.
type Spec struct {
	// Path is the executable: absolute, or relative to Dir. It is not searched for (see LookPath)
	// and lies inside Chroot.
	Path string
	// Args is the whole argument vector; Args[0] is the name the program sees.
	Args []string
	// Env is the whole environment, "NAME=VALUE" each. Nil means empty. A WATCHDOG_PID in it
	// becomes the target's own pid.
	Env []string
	// Files are the descriptors to pass, each at its number. The caller keeps its own.
	Files []File
	// RawFiles are more of them.
	RawFiles []RawFile
	// ListenNames, if not empty, makes the descriptors from 3 on sockets in the sense of
	// sd_listen_fds(3): LISTEN_FDS, LISTEN_FDNAMES and, of the target's own, LISTEN_PID and, where
	// the kernel has it (Linux 6.9), LISTEN_PIDFDID are set.
	ListenNames []string

	// Session makes the target the leader of a session of its own. Detach ignores
	// it: there, the watcher leads the session and the target is only a member.
	Session bool
	// Cgroup is the directory of a control group to join before anything else.
	Cgroup string
	// Into is the open directory of a control group to be born in (CLONE_INTO_CGROUP, Linux 5.7),
	// which costs nothing where Cgroup costs a stage. Start only; elsewhere than on Linux it is an
	// error.
	Into *os.File
	// OOMScoreAdj, -1000 to 1000.
	OOMScoreAdj *int
	// Nice, -20 to 19.
	Nice *int
	// Rlimits are set in order.
	Rlimits []Rlimit
	// Umask is the file mode creation mask.
	Umask *int
	// Chroot is the new root directory; Path and Dir lie inside it.
	Chroot string
	// Credential is who to become; nil stays who we are.
	Credential *sys.Credential
	// Caps, if not nil, is exactly the set of capabilities the target has: the
	// bounding set is cut down to it and, for another user than root, it is made ambient.
	Caps *sys.CapSet
	// NoNewPrivs forbids gaining privileges by execve(2).
	NoNewPrivs bool
	// Dir is the working directory, entered last, as the user who will work in it. With Chroot,
	// empty means "/".
	Dir string

	// Birth, if not nil, gives the target a channel to the watcher as descriptor 0,
	// which this package takes away again before the target's main: the target must be a
	// program that imports it. Detach only.
	Birth *Birth

	// Record, if not nil, is a file in which the caller says that the target runs. It says so no
	// more when the launch ends otherwise than by a release, whatever becomes of the caller. Detach
	// only.
	Record *Record

	// LetGo has the watcher leave as soon as the program runs, without a word of the caller. Detach
	// only.
	LetGo bool

	// DeathSignal, if not 0, is sent to the process when its parent ends, however that comes about
	// (PR_SET_PDEATHSIG, Linux). The kernel takes the end of the thread that forked for that of the
	// parent, so only a Spawner does it, from a thread that it keeps. A program that is
	// set-user-ID, or has capabilities of its own, takes it back.
	DeathSignal sys.Signal

	// Hold, if not nil, is a descriptor that the process holds open, under whatever number, until
	// it executes the program: who has locked it can be sure that nobody else gets the lock before.
	Hold *os.File

	// FailAt makes that step fail, for tests of what happens then.
	FailAt Step
}

// File is a descriptor of the new process.
type File struct {
	FD     int      // its number there
	Source *os.File // what it refers to
}

// RawFile is a File that package os must not hold: os.File.Fd makes it blocking for everybody who
// shares it.
type RawFile struct {
	FD     int // its number there
	Source int // what it refers to, a descriptor of ours
}

// Rlimit is a resource limit by number, with the name to use in messages.
type Rlimit struct {
	Name     string
	Resource int
	Limit    sys.Rlimit
}

// Birth is what a target of our own finds when it looks (see Born).
type Birth struct {
	Payload []byte     // opaque
	Files   []*os.File // arrive as close-on-exec descriptors of any number
	// Crash, if not nil, gets what the Go runtime says of a panic or a fatal error, from package
	// initialisation until Born.EndCrashOutput, unless the program has that done elsewhere
	// (runtime/debug.SetCrashOutput).
	Crash *os.File
}

// Record is a file that is to tell of the target, and of no other process in its place: the watcher
// has it open as well. When all that it watches over has ended, it empties the file, and removes it
// if its name is still that of this very file. A file that says something already, and that the
// caller does not write to before, stays as it is.
type Record struct {
	File *os.File // open for writing
	Path string   // absolute
}

// maxFD bounds the descriptor numbers one may ask for; the kernel's own
// bound (fs.nr_open) is far above, but a typo should not cost a table of a million entries.
const maxFD = 65535

// maxFiles is SCM_MAX_FD of the kernel, how many a message takes, less what we add ourselves.
const maxFiles = 240

// check finds what is wrong before anything is started.
func (s *Spec) check() error {
	if s.Path == "" {
		return errors.New("no program to execute")
	}
	if len(s.Args) == 0 {
		return errors.New("empty argument vector")
	}
	for _, list := range [][]string{{s.Path, s.Chroot, s.Dir, s.Cgroup}, s.Args, s.Env} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return fmt.Errorf("NUL byte in %q", v)
			}
		}
	}
	if s.Into != nil && !canBearInto {
		return sys.Unsupported("CLONE_INTO_CGROUP")
	}
	passed := len(s.Files) + len(s.RawFiles)
	if s.Birth != nil {
		passed += len(s.Birth.Files)
	}
	if passed > maxFiles {
		return fmt.Errorf("%d descriptors to pass, more than %d", passed, maxFiles)
	}
	seen := map[int]bool{}
	see := func(fd int, hasSource bool) error {
		switch {
		case fd < 0 || fd > maxFD:
			return fmt.Errorf("descriptor number %d is not between 0 and %d", fd, maxFD)
		case seen[fd]:
			return fmt.Errorf("descriptor number %d is given twice", fd)
		case !hasSource:
			return fmt.Errorf("descriptor %d has no source", fd)
		case fd == 0 && s.Birth != nil:
			return errors.New("descriptor 0 is taken by the channel of the birth")
		}
		seen[fd] = true
		return nil
	}
	for _, f := range s.Files {
		if err := see(f.FD, f.Source != nil); err != nil {
			return err
		}
	}
	for _, f := range s.RawFiles {
		if err := see(f.FD, f.Source >= 0); err != nil {
			return err
		}
	}
	if err := s.checkSources(); err != nil {
		return err
	}
	for i, name := range s.ListenNames {
		if !seen[3+i] {
			return fmt.Errorf("socket %q has no descriptor %d", name, 3+i)
		}
		if strings.ContainsAny(name, ":") {
			return fmt.Errorf("socket name %q contains a colon", name)
		}
	}
	return nil
}

// checkSources finds what cannot be passed because it is not open: its number would be that of no
// file, or of another.
func (s *Spec) checkSources() error {
	for _, f := range s.Files {
		if err := CheckFile(f.Source); err != nil {
			return fmt.Errorf("the source of descriptor %d %w", f.FD, err)
		}
	}
	for _, f := range s.RawFiles {
		if !isOpen(f.Source) {
			return fmt.Errorf("the source of descriptor %d %w", f.FD, errClosed)
		}
	}
	if s.Into != nil && CheckFile(s.Into) != nil {
		return fmt.Errorf("the directory of the control group %w", errClosed)
	}
	if s.Hold != nil && CheckFile(s.Hold) != nil {
		return fmt.Errorf("the file to hold %w", errClosed)
	}
	if s.Birth == nil {
		return nil
	}
	for i, f := range s.Birth.Files {
		if err := CheckFile(f); err != nil {
			return fmt.Errorf("Birth.Files[%d] %w", i, err)
		}
	}
	return nil
}

// CheckFile says why f cannot be passed on, as the end of a sentence: "is nil", "is closed".
func CheckFile(f *os.File) error {
	if f == nil {
		return errors.New("is nil")
	}
	open := false
	// also one whose number was closed behind its back
	err := sys.WithFD(f, func(fd int) error { open = isOpen(fd); return nil })
	if err != nil || !open {
		return errClosed
	}
	return nil
}

var errClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "is closed" }
func (closedError) Unwrap() error { return os.ErrClosed }

// needsOwnProcess says whether some of s can only be applied by the very
// process that executes the target: LISTEN_PID is its pid, and a limit set on
// a process that still has work of its own to do may starve it.
func (s *Spec) needsOwnProcess() bool { return len(s.Rlimits) > 0 || s.needsPID() }

const watchdogPID = "WATCHDOG_PID="

// needsPID says whether the target's own pid is in its environment.
func (s *Spec) needsPID() bool {
	return len(s.ListenNames) > 0 ||
		slices.ContainsFunc(s.Env,
			func(kv string) bool { return strings.HasPrefix(kv, watchdogPID) })
}

// needsStage says whether s can not be applied on a mere thread of ours,
// whose process is left as it was: limits, the oom score and the control group
// belong to the whole process, and a thread that has given up root can be
// killed, and the process with it, by the user it became.
func (s *Spec) needsStage() bool {
	return s.needsOwnProcess() || s.Cgroup != "" || s.OOMScoreAdj != nil || s.Chroot != "" ||
		s.DeathSignal != 0 ||
		s.Credential != nil || s.Caps != nil || s.NoNewPrivs || s.FailAt != 0 || !threadsOwnFS
}

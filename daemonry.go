// Package daemonry turns the running program into a daemon and tells the launcher how that went.
//
// The whole of it, for a program with a -d flag:
//
//	if *background {
//		proc, err := daemonry.Detach(ctx, daemonry.Options{
//			PIDFile: "/run/app.pid",
//			LogFile: "/var/log/app.log",
//		})
//		if err != nil {
//			log.Fatal(err) // the daemon's own words, if it was the daemon that failed
//		}
//		if proc != nil {
//			return // the launcher: the daemon is up and ready
//		}
//	}
//	// the daemon, or the program in the foreground
//	defer daemonry.Release()
//	l, err := net.Listen("tcp", addr)
//	if err != nil {
//		daemonry.Fail(err) // the launcher's Detach returns this text
//	}
//	daemonry.Ready() // tells the launcher, systemd, s6: whoever waits
//
// # How it works
//
// Go has no fork. Detach starts the program anew, by way of a short-lived stage that leads the new
// session, and waits. So main runs once in the launcher and once in the daemon, where Detach
// returns nil and nothing is left of how it came about: no variable in the environment, no
// argument, no descriptor. Goroutines and locks that the launcher had before do no harm, because
// the daemon is a new process that never had them.
//
// Package initialisation runs in the stage too, as far as Go puts it before that of
// this package: keep side effects out of init functions and package variables. What it prints there
// is shown only if the stage fails, in the error.
//
// Until Detach the daemon is in the launcher's directory, so that what main reads before, by a
// relative path of its arguments, is the same file in both. Detach changes to Options.Dir. What is
// opened later by a relative path needs Dir: ".", or an absolute path.
//
// The daemon is clean whatever state the launcher was in: all fifteen steps of daemon(7) are
// done, but for the umask, which is 0022 and not 0 unless Options says otherwise.
//
// Everything here works on Unix but for AIX. Elsewhere a program builds all the same, and what
// cannot be done returns an error that wraps errors.ErrUnsupported. Detach does, unless it is to
// keep the program in the foreground and no option asks for more. So it does in a program that does
// not start this code again when it is executed: in Python that has opened it as a library
// (-buildmode=c-shared), in a C program that it is linked into (c-archive), in a plugin whose host
// does not import this package too.
package daemonry

import (
	"context"
	"io"
	"io/fs"
	"os"
	"time"
)

// Options say how the daemon is to be. The zero value is useful: a daemon in "/",
// with umask 0022, the launcher's arguments and environment, and its output on /dev/null.
type Options struct {
	// Foreground keeps the process and makes it what the daemon would be, in all but the detaching:
	// all threads become User in Chroot, which is verified; Args, Name, Env and Umask hold from
	// there on, standard output and standard error go where they are to, if that is said, and
	// Inherited returns Files. Detach then returns nil; an error says which step could not be
	// done, and the program should end. What a manager has set stays where nothing is said: the
	// working directory without Dir, the umask without Umask. Capture, KillGrace and
	// Progress are about a daemon that is waited for, and mean nothing here.
	//
	// It is implied where something else already does the daemonizing and expects the program to
	// stay: as process 1 of a container, and under a manager that set NOTIFY_SOCKET for this
	// process. That is so if somebody holds the socket, for a variable outlives its manager, and
	// if SYSTEMD_EXEC_PID, where systemd sets it (248), names this process, for a variable is
	// inherited: a script that systemd starts has to exec the program.
	Foreground bool
	// Background makes a daemon also where that would keep the program in the
	// foreground. Foreground wins over it.
	Background bool

	// ReadyFD is a descriptor to write a newline to when ready, for s6 and others that read
	// such a one, if the program stays in the foreground. 0 means none.
	ReadyFD int

	// Name is the daemon's argv[0]. Default: the launcher's.
	Name string
	// Args are the daemon's arguments, without argv[0]. Nil means those of the launcher.
	Args []string
	// Env is the daemon's environment. Nil means the launcher's, without the variables by
	// which a manager speaks to one process alone (NOTIFY_SOCKET, LISTEN_FDS and their like), and
	// with HOME, USER, LOGNAME and SHELL of User if there is one. What is not nil is taken as it
	// is.
	Env []string
	// Dir is the daemon's working directory from Detach on, inside Chroot if there is one. Default
	// "/". A relative one is relative to the launcher's, so "." is that: for a program that opens
	// relative paths after Detach. Before it the daemon is where the launcher was.
	Dir string
	// Chroot is the daemon's root directory. The program's file need not be in it.
	Chroot string
	// Umask is the daemon's file mode creation mask, from 0 to 0777. Nil means 0022; new(0) is 0.
	Umask *int
	// User is who the daemon becomes. Nil changes nothing. See LookupUser.
	User *User

	// PIDFile names a file that holds the daemon's pid while it lives, and the lock that makes
	// it the only one. A second Detach fails with a *pidfile.RunningError inside its error. When
	// the launch fails, or is broken off, the file is removed; where it cannot be, it is emptied
	// (see Release).
	PIDFile string
	// PIDFileMode is the exact mode of a new pid file, which nobody but its owner may write to.
	// Default 0644.
	PIDFileMode fs.FileMode
	// LogFile takes what the daemon prints on standard output and standard error; it is appended
	// to. Without it they are on /dev/null. See ReopenLog for rotation. It must not be PIDFile. On
	// Linux 64 KiB of the disk are set aside for it, which du(1) counts until it has grown by so
	// much; where there are none, what is printed until Ready is kept in memory, and goes to the
	// log then, if it can.
	LogFile string
	// ErrFile takes standard error apart; LogFile, if there is one, then has standard output alone.
	ErrFile string
	// LogFileMode is the exact mode of a new log file, which not everybody may write to. Default
	// 0640.
	LogFileMode fs.FileMode
	// Output and ErrOutput are open files in place of LogFile and ErrFile: a file, a pipe, a
	// socket, a terminal. They stay the caller's. What the daemon printed to one that cannot be
	// read back, or is open for writing only, is not among its last words.
	Output, ErrOutput *os.File
	// Files go to the daemon, which finds them with Inherited, in this order. They
	// refer to the same open files: a lock (flock(2)) is never released on the way. Each has the
	// name that it has here (os.File.Name). A nil or closed one is an error, and so are more than
	// fit into one message: 230 do.
	Files []*os.File
	// Capture keeps what the daemon prints until it is ready apart, for Process.Stdout and
	// Process.Stderr, also if there is a log file.
	Capture bool

	// Timeout is the time from the call of Detach until Ready, package initialisation in the stage
	// and in the daemon included. It also bounds what is done on file systems that do not answer.
	// Default 30 s; a negative one is an error. Who wants no limit gives a long one.
	Timeout time.Duration
	// Progress, if not nil, is told in the launcher when the launch comes to its next phase, and
	// when the daemon calls Status. It is called in the goroutine of Detach, which waits for it.
	Progress func(Progress)
	// KillGrace is the time between SIGTERM and SIGKILL for a daemon that is not ready in time,
	// which comes on top of Timeout. Default 2 s; a negative one is none: SIGKILL at once.
	KillGrace time.Duration
}

// Progress is how far a launch has come.
type Progress struct {
	// Phase is what begins, as in LaunchError.Phase: "start daemon", then "wait for ready".
	Phase string
	// PID is the daemon's; 0 before it is started.
	PID int
	// Status is what the daemon is at, as it says; "" if it has not said anything.
	Status string
}

// Process is the daemon, seen from the launcher.
type Process struct {
	// PID of the daemon.
	PID int
	// Stdout and Stderr hold what the daemon printed until it was ready, with Options.Capture; nil
	// otherwise.
	Stdout, Stderr io.Reader
}

// Detach makes a daemon of the program. It returns in two processes:
//
//   - in the launcher, with the Process when the daemon has called Ready, or with an error when it
//     is certain that it will not: the daemon failed (*LaunchError, with its own words and exit
//     status), died, or took too long. Nothing of the daemon is left then.
//   - in the daemon, with nil and nil. So it does in a program that is to stay in the foreground.
//
// When ctx ends, or the launcher dies (Ctrl-C), before the daemon is ready, the
// daemon is ended. In the daemon ctx has no meaning.
func Detach(ctx context.Context, o Options) (*Process, error) { return detach(ctx, o) }

// Ready tells whoever waits that the program is up: the launcher, systemd or
// another manager that set NOTIFY_SOCKET. In a daemon without a log file, standard output and
// standard error are on /dev/null from then on. When it returns the pid file, if there is one, has
// the daemon's pid, unless the launcher takes longer than 5 s for that. A second call does nothing.
//
// An error means that somebody waits and could not be told; a daemon should then end, because its
// launcher is gone, or has given up: with Fail, for nobody else is left to remove its pid file.
func Ready() error { return ready() }

// Status says what the program is at, as long as somebody waits for it: to the launcher
// (Options.Progress), or in the foreground to a manager, which shows it (STATUS= of sd_notify(3)).
// It is one line; a text of more is an error.
func Status(text string) error { return sayStatus(text) }

// Fail ends the program because of err. In a daemon that is not ready yet the launcher's Detach
// returns an error with exactly err's text, of which, if it has more than 64 KiB, that much and a
// note of how much is missing; elsewhere the text goes to standard error, after the
// program's name. The exit status is that of err, if it or an error it wraps has a method
// ExitStatus() int and that is from 1 to 255, else 1.
//
// Fail does not return.
func Fail(err error) { failWith(err) }

// IsDaemon says whether this process was made by Detach. It can be asked at any time, also before
// Detach.
func IsDaemon() bool { return isDaemon() }

// Inherited returns the files of Options.Files in the daemon, once Detach has returned there;
// before, and in any other process, nil. They are close-on-exec.
func Inherited() []*os.File { return inherited() }

// Release is for a clean end: it removes the pid file, if it is still ours, and tells a waiting
// manager that the program stops. A pid file that the daemon may not remove (Options.User, with the
// file in root's directory) or that is outside its root (Options.Chroot) is emptied, and stays: it
// names nobody, and the next Detach takes it. A daemon that dies without Release leaves a stale pid
// file, which does no harm.
func Release() error { return release() }

// ReopenLog opens LogFile and ErrFile anew, for use after a rotation, and puts them in the place of
// standard output and standard error. Without a log file it does nothing. It fails, and the old
// files stay, if the daemon's user may not open them. With Options.Chroot the files are looked for,
// and made, inside that root.
func ReopenLog() error { return reopenLog() }

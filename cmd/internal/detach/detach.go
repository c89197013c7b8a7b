// Package detach turns any program into a daemon, and finds, signals and stops it again by its pid
// file.
package detach

import (
	"context"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/spec"
)

// Options say what to start and how.
type Options struct {
	// Service is what to start: Command, Process, Ready and Timeout count, the
	// rest is for supervisors. Chdir is "/" by default. Stdout and Stderr are on
	// /dev/null by default ("log" means nothing without a log).
	Service spec.Service
	// Argv0 is the name the program sees as its own; the program's by default.
	Argv0 string
	// PassFDs are descriptors of this process that the program gets under the same numbers.
	PassFDs []int
	// PIDFileMode is the mode of the pid file, 0644 by default.
	PIDFileMode *spec.Mode
	// Leave says that the calling process ends right after Run, and may leave its session and
	// terminal for the daemon's sake, which is the fastest way (spawn.LeaveBehind). With a pid file
	// it changes nothing.
	Leave bool
	// Waiting, if not nil, is called when the program runs but is not ready yet,
	// at most once a second, with what it is waited for: for a terminal.
	Waiting func(phase string)
}

// Result is a daemon that is up and ready.
type Result struct {
	PID  int           // of the daemon, which a MAINPID= of its own may have named
	Took time.Duration // from the start to readiness
	Note string        // something its user should know although all went well; mostly ""
}

// Error is a launch that failed. Nothing of it is left: no process, no pid file.
type Error = launch.Error

// Run starts the program as a daemon and returns when it is ready, or when it
// is certain that it will not be. The error is always an *Error. When ctx ends
// the half-born daemon is ended too.
func Run(ctx context.Context, o Options) (Result, error) {
	l := attempt{o: o}
	return l.run(ctx)
}

package lifecycle

import (
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

const outOfMemory = " (out of memory)"

// exitText says in a few words how a process ended.
func exitText(x spawn.Exit, unknown, oom bool) string {
	text := x.String()
	if unknown {
		text = "ended, and how is not known"
	}
	if oom {
		text += outOfMemory
	}
	return text
}

// exitOf is how a process ended, as the kernel says.
func exitOf(x children.Exit) *control.Exit {
	if x.Unknown {
		return &control.Exit{Unknown: true, At: x.At, Text: exitText(spawn.Exit{}, true, false)}
	}
	e := spawn.ExitOf(x.Status)
	exit := &control.Exit{
		// kilobytes on Linux (getrusage(2))
		Code: e.Code, Core: e.CoreDump, Text: exitText(e, false, false), At: x.At,
		MaxRSS: ownPeak(x.Usage.Maxrss) * 1024,
		User:   spec.Duration(x.Usage.Utime.Nano()), System: spec.Duration(x.Usage.Stime.Nano()),
	}
	if e.Signal != 0 {
		exit.Signal = spec.SignalOf(e.Signal)
	}
	return exit
}

// succeeded says whether an exit is no failure.
func (s *Service) succeeded(x *control.Exit) bool {
	if x.Unknown {
		return false
	}
	if x.Signal != "" {
		return s.spec.Success.HasSignal(x.Signal)
	}
	return x.Code == 0 || s.spec.Success.HasCode(x.Code)
}

// failedText is what the reason of a failure begins with.
func failedText(x *control.Exit, ready bool) string {
	if ready || x.Unknown {
		return x.Text
	}
	return x.Text + " before it was ready"
}

func signalName(sig syscall.Signal) string { return sys.SignalName(sig) }

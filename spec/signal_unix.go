//go:build unix && !aix

package spec

import (
	"fmt"
	"syscall"
)

// unixSignals are those that every Unix has; systemSignal adds to them.
var unixSignals = map[Signal]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "ILL": syscall.SIGILL,
	"TRAP": syscall.SIGTRAP, "ABRT": syscall.SIGABRT, "BUS": syscall.SIGBUS, "FPE": syscall.SIGFPE,
	"KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1, "SEGV": syscall.SIGSEGV,
	"USR2": syscall.SIGUSR2,
	"PIPE": syscall.SIGPIPE, "ALRM": syscall.SIGALRM, "TERM": syscall.SIGTERM,
	"CHLD": syscall.SIGCHLD,
	"CONT": syscall.SIGCONT, "STOP": syscall.SIGSTOP, "TSTP": syscall.SIGTSTP,
	"TTIN": syscall.SIGTTIN,
	"TTOU": syscall.SIGTTOU, "URG": syscall.SIGURG, "XCPU": syscall.SIGXCPU,
	"XFSZ":   syscall.SIGXFSZ,
	"VTALRM": syscall.SIGVTALRM, "PROF": syscall.SIGPROF, "WINCH": syscall.SIGWINCH,
	"IO": syscall.SIGIO, "SYS": syscall.SIGSYS,
}

// Number returns the number of the signal on this system, or an error if this
// system has none such.
func (s Signal) Number() (syscall.Signal, error) {
	if n, ok := unixSignals[s]; ok {
		return n, nil
	}
	if n, ok := systemSignal(s); ok {
		return n, nil
	}
	return 0, fmt.Errorf("signal %s does not exist on this system", s)
}

// SignalOf returns the name of a number of this system; a number without a
// name stays one in the text.
func SignalOf(n syscall.Signal) Signal {
	for name, number := range unixSignals {
		if number == n {
			return name
		}
	}
	return systemSignalName(n)
}

// Package check proves from the kernel's evidence which of the fifteen steps of daemon(7) hold for
// a process.
//
// The evidence is what /proc shows of the process now. It shows states, not
// deeds: nobody records that a process called setsid, only which session it is
// in. So each step has three possible results. It passes or fails where the
// state settles the question; it is not observable where the state could have
// come about either way, or where we may not look. What may not be looked at never passes.
//
//	step                      looks at                   fails when
//	 1 other descriptors      fd, fdinfo, net            one that an execve let through is a file,
//	                                                     device, terminal or pipe
//	 2 signal actions         SigIgn, SigCgt             signals are ignored and nothing shows
//	                                                     that the program chose it
//	 3 signal mask            SigBlk: threads, signalfd  a signal is blocked in every thread and
//	                                                     no signalfd takes it
//	 4 environment            environ, cgroup            it bears the mark of another daemonizer
//	                                                     or manager
//	 5 fork                   stat: it, parent, leader   its parent started it and is still there
//	 6 setsid                 the same, tty_nr           it has a terminal or is in the session of
//	                                                     a living stranger
//	 7 second fork            session                    it leads its session, so a terminal it
//	                                                     opens may become its own
//	 8 first child gone       parent                     the parent has not changed to init or a
//	                                                     subreaper
//	 9 descriptors 0, 1, 2    fd, fdinfo                 closed, a terminal, or of the wrong
//	                                                     direction
//	10 umask                  Umask                      it takes the owner's rights away, or lets
//	                                                     everybody write
//	11 working directory      cwd, root, mountinfo       deleted, or it keeps a mounted file
//	                                                     system busy
//	12 pid file               the file, its fdinfo       it names another process, is older than
//	                                                     this one, or anybody may write it
//	13 privileges             Uid, Gid, Groups, Cap*     not the user asked for, or a way back to
//	                                                     root was kept
//	14 readiness reported     -                          never: nothing of it remains to be seen
//	15 original process gone  parent                     the parent of step 8 is still there
//
// A program that runs may have changed all of this itself: nginx ignores
// SIGPIPE, redis leaves its sockets open across execve. Evidence cannot tell
// who did it. Where a program shows that it sets up things of its own kind (it
// catches signals, has close-on-exec descriptors, listens), an ignored signal is
// reported as not observable; where it shows nothing of the sort, as sleep(1)
// does, what is not at its default was inherited and fails.
package check

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daemonry/daemonry/internal/sys"
)

// Result is the outcome of one step.
type Result string

const (
	Pass          Result = "pass"
	Fail          Result = "fail"
	NotObservable Result = "not-observable"
)

// Step is one of the fifteen steps and what was found about it.
type Step struct {
	Number   int      `json:"number"` // 1 to 15, as in daemon(7)
	Name     string   `json:"name"`
	Result   Result   `json:"result"`
	Evidence string   `json:"evidence"`          // one line
	Details  []string `json:"details,omitempty"` // one line each, for example a descriptor
}

// Report is the outcome for one process: all fifteen steps in their order.
type Report struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // comm, at most 15 bytes, "" when it may not be seen
	Steps   []Step `json:"steps"`
}

// Failed says whether any step failed.
func (r Report) Failed() bool { return r.Count(Fail) > 0 }

// Count returns how many steps have this result.
func (r Report) Count(result Result) int {
	n := 0
	for _, step := range r.Steps {
		if step.Result == result {
			n++
		}
	}
	return n
}

// Options is what the caller knows of the process. The zero value knows nothing.
type Options struct {
	// PIDFile is the file that should name the process. Without it step 12
	// looks for a *.pid file that the process holds open.
	PIDFile string
	// User is who the process should be; nil: no user was asked for. Its
	// Groups are compared only if they are not nil.
	User *sys.Credential
	// Files are what the process has open on purpose, such as its log.
	Files []string
}

// ErrNoProcess is wrapped by the error of Process when there is nothing to
// look at: no such process, or one that has ended and was not reaped yet.
var ErrNoProcess = errors.New("no such process")

// Process looks at a process and judges each step. It changes nothing, sends
// nothing, and needs no rights: what it may not see is reported as not observable.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func Process(pid int, o Options) (Report, error) {
	before, err := sys.ReadStat(pid)
	switch {
	case errors.Is(err, sys.ESRCH):
		return Report{}, fmt.Errorf("process %d: %w", pid, ErrNoProcess)
	case errors.Is(err, sys.ErrHidden):
		return hidden(pid, err), nil
	case err != nil:
		return Report{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if before.State == 'Z' || before.State == 'X' {
		return Report{}, ended(before)
	}
	f, err := gather(before, o)
	if err != nil {
		return Report{}, err
	}
	// The facts come from many files. They are of one process only if the
	// number did not pass to another one meanwhile.
	after, err := sys.ReadStat(pid)
	if err != nil || after.StartTime != before.StartTime || after.State == 'Z' {
		return Report{}, vanished(before)
	}
	return Report{PID: pid, Command: clean(before.Comm), Steps: f.judge()}, nil
}

func vanished(st sys.ProcStat) error {
	return fmt.Errorf("process %s ended while it was looked at: %w", describe(st), ErrNoProcess)
}

func ended(st sys.ProcStat) error {
	if !st.Exited() {
		return fmt.Errorf(
			"process %d (%s): its main thread has ended, others run on and /proc does not show "+
				"what they share: %w",
			st.PID, clean(st.Comm), ErrNoProcess,
		)
	}
	return fmt.Errorf("process %d (%s) has ended and waits for its parent %s to reap it: %w",
		st.PID, clean(st.Comm), nameOf(st.PPID), ErrNoProcess)
}

// hidden is the report about a process that exists and cannot be seen at all.
func hidden(pid int, why error) Report {
	r := Report{PID: pid}
	for i, name := range names {
		r.Steps = append(r.Steps,
			Step{Number: i + 1, Name: name, Result: NotObservable, Evidence: why.Error()})
	}
	return r
}

var names = [15]string{
	"close other descriptors", "reset signal actions", "reset signal mask", "clean the environment",
	"fork", "new session", "fork again", "first child exits", "descriptors 0, 1 and 2", "umask",
	"working directory", "pid file", "drop privileges", "report readiness",
	"original process exits",
}

// finding is a Step without its place.
type finding struct {
	result   Result
	evidence string
	details  []string
}

func passf(format string, a ...any) finding { return finding{Pass, fmt.Sprintf(format, a...), nil} }
func failf(format string, a ...any) finding { return finding{Fail, fmt.Sprintf(format, a...), nil} }
func unseenf(format string, a ...any) finding {
	return finding{NotObservable, fmt.Sprintf(format, a...), nil}
}

func (f *facts) judge() []Step {
	judges := [15]func(*facts) finding{
		(*facts).otherDescriptors, (*facts).signalActions, (*facts).signalMask,
		(*facts).environment,
		(*facts).forked, (*facts).ownSession, (*facts).forkedAgain, (*facts).reparented,
		(*facts).standardDescriptors,
		(*facts).umask, (*facts).workingDirectory, (*facts).pidFile, (*facts).privileges,
		(*facts).readiness, (*facts).originalGone,
	}
	steps := make([]Step, len(judges))
	for i, judge := range judges {
		found := judge(f)
		steps[i] = Step{
			Number:   i + 1,
			Name:     names[i],
			Result:   found.result,
			Evidence: found.evidence,
			Details:  found.details,
		}
	}
	return steps
}

// clean makes a name chosen by a stranger fit for a line of text: no control
// character of it reaches a terminal.
func clean(s string) string {
	if !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// nameOf returns "812 (bash)", or the number alone when the process cannot be seen.
func nameOf(pid int) string {
	st, err := sys.ReadStat(pid)
	if err != nil {
		return strconv.Itoa(pid)
	}
	return describe(st)
}

func describe(st sys.ProcStat) string { return fmt.Sprintf("%d (%s)", st.PID, clean(st.Comm)) }

// plural returns "1 signal" or "3 signals".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func signalList(set sys.SignalSet) string {
	var list []string
	for _, sig := range set.Signals() {
		list = append(list, sys.SignalName(sig))
	}
	return strings.Join(list, ", ")
}

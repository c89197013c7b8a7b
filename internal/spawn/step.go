package spawn

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/daemonry/daemonry/internal/sys"
)

// Step is one step of a birth. The constants stand in the order in which the steps are done.
type Step uint8

// Steps; the reason for the order is with each.
const (
	StepStart       Step = iota + 1 // start the stage itself
	StepReceive                     // read the description
	StepDescriptors                 // before the limits, which could forbid the numbers asked for
	StepCgroup                      // first of the rest, so that the rest is accounted there
	StepOOMScore                    // needs the right to lower it
	StepNice                        // needs the right to lower it
	StepLimits                      // needs the right to raise hard limits
	StepUmask
	StepSignals
	StepChroot   // needs root
	StepBounding // needs CAP_SETPCAP
	StepUser     // groups, gid, uid: gives all rights up
	StepCaps     // gives back those to keep, which the change of uid took from the effective set
	StepNoNewPrivs
	StepDirectory   // as the user who works there: root may enter directories that the user may not
	StepDeathSignal // after the user: a change of it takes the setting back (prctl(2))
	StepFork
	StepExec
	numSteps
)

var stepWords = [numSteps]string{
	StepStart:       "start stage",
	StepReceive:     "read description",
	StepDescriptors: "arrange descriptors",
	StepCgroup:      "join control group",
	StepOOMScore:    "set oom score",
	StepNice:        "set nice value",
	StepLimits:      "set limit",
	StepUmask:       "set umask",
	StepSignals:     "reset signals",
	StepChroot:      "change root to",
	StepBounding:    "drop capabilities",
	StepUser:        "set user",
	StepCaps:        "set capabilities",
	StepNoNewPrivs:  "set no_new_privs",
	StepDirectory:   "change directory to",
	StepDeathSignal: "set parent death signal",
	StepFork:        "fork",
	StepExec:        "execute",
}

// String returns the words a person reads, as in "change directory to".
func (s Step) String() string {
	if s == 0 || s >= numSteps {
		return fmt.Sprintf("step %d", uint8(s))
	}
	return stepWords[s]
}

// StepError says which step failed, on what, and why. Err is a syscall.Errno
// where the kernel gave one, also when the step was done in another process.
type StepError struct {
	Step   Step
	Object string // may be empty
	Err    error
}

func (e *StepError) Error() string {
	if e.Object == "" {
		return fmt.Sprintf("%v: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("%v %s: %v", e.Step, e.Object, e.Err)
}

// Unwrap returns Err.
func (e *StepError) Unwrap() error { return e.Err }

// fail makes a StepError out of err; nil stays nil. The errno is taken out of
// its wrapping, because the step and the object already say what the wrapping would.
func fail(step Step, object string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*StepError](err); ok {
		return err
	}
	if errno, ok := sys.Errno(err); ok {
		err = errno
	}
	return &StepError{Step: step, Object: object, Err: err}
}

// place is where a start is, as far as is known.
type place struct{ atomic.Pointer[StepError] }

func (p *place) set(step Step, object string) { p.Store(&StepError{Step: step, Object: object}) }

// stuck says that nothing has come of the step there, because of err.
func (p *place) stuck(err error) error {
	at := p.Load()
	if at == nil {
		at = &StepError{Step: StepStart}
	}
	return &StepError{Step: at.Step, Object: at.Object, Err: err}
}

// injected is the reason of a step that a test made fail.
const injected = sys.EIO

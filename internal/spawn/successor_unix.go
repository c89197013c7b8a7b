//go:build unix && !aix

package spawn

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// Reap takes in the ended successor. An error means that the program reaps all its children itself
// and nobody can tell any more how this one ended.
func (h *Successor) Reap() (Exit, error) {
	if h.between != nil {
		return h.between.reap()
	}
	status, err := sys.WaitChild(h.PID)
	if err != nil {
		return Exit{}, err
	}
	return ExitOf(status), nil
}

// Replace executes another program in this process, which finds with Inherited what StartSuccessor
// would have given it. Children stay children, the pid stays, and so do all descriptors that are
// not close-on-exec. It returns only if that failed; then nothing has changed.
//
// Signals that a program like ours takes care of are blocked over the change: until the new program
// asks for them (os/signal), they would end it.
func Replace(path string, args, env []string, handovers []Handover) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	payload, files, err := encodeHandovers(handovers)
	if err != nil {
		return fail(StepDescriptors, "", err)
	}
	stdin, err := sys.DupAbove(0, 3)
	if err != nil {
		return fail(StepDescriptors, "0", err)
	}
	in := os.NewFile(uintptr(stdin), "standard input")
	defer in.Close()
	o, err := successorOrders(payload, in, files)
	if err != nil {
		return err
	}
	// Our end is closed by execve(2) itself; what is in the channel stays to be read.
	ours, theirs, err := o.give()
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	runtime.KeepAlive(files)
	if err := sys.Dup2(int(theirs), 0); err != nil {
		return fail(StepDescriptors, "0", err)
	}
	old, err := sys.SetSignalMask(
		sys.SignalSet(0).Add(syscall.SIGHUP).Add(syscall.SIGINT).Add(syscall.SIGTERM),
	)
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		d := description{Spec: Spec{Path: path}}
		err = d.execError(syscall.Exec(path, args, env))
		_, _ = sys.SetSignalMask(old) // what was possible before is now
	}
	return errors.Join(err, sys.Dup2(stdin, 0))
}

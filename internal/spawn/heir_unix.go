//go:build unix

package spawn

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// heirMagic starts the channel of an heir; what follows is in frameBirth.
const heirMagic = "\x00daemonry-heir.\x01"

// Reap takes in the ended heir. An error means that the program reaps all its children itself
// and nobody can tell any more how this one ended.
func (h *Heir) Reap() (Exit, error) {
	if h.between != nil {
		return h.between.reap()
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(h.PID, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return Exit{}, os.NewSyscallError("wait4", err)
		}
		return ExitOf(status), nil
	}
}

// Replace executes another program in this process, which finds with Inherited what StartHeir would have given it. Children
// stay children, the pid stays, and so do all descriptors that are not close-on-exec. It returns only if that failed; then nothing has changed.
//
// Signals that a program like ours takes care of are blocked over the change: until the new program asks for them
// (os/signal), they would end it.
func Replace(path string, args, env []string, legacies []Legacy) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	payload, files := encodeLegacies(legacies)
	if len(payload) > maxPayload || len(files) >= maxFiles {
		return fail(StepStart, "", fmt.Errorf("%d bytes and %d files to hand over, at most %d and %d can be", len(payload), len(files), maxPayload, maxFiles))
	}
	stdin, err := sys.DupAbove(0, 3)
	if err != nil {
		return fail(StepDescriptors, "0", err)
	}
	defer sys.CloseFD(stdin)
	// Our end is closed by execve(2) itself; what is in the channel stays to be read.
	ours, theirs, err := sys.NewChannel()
	if err != nil {
		return fail(StepStart, "", err)
	}
	defer ours.Close()
	defer theirs.Close()
	fds := []int{stdin}
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if err := errors.Join(ours.Send([]byte(heirMagic)), sendFrame(ours, frameBirth, payload, fds...)); err != nil {
		return fail(StepStart, "", err)
	}
	runtime.KeepAlive(files)
	if err := sys.Dup2(int(theirs), 0); err != nil {
		return fail(StepDescriptors, "0", err)
	}
	old, err := sys.SetSignalMask(sys.SignalSet(0).Add(syscall.SIGHUP).Add(syscall.SIGINT).Add(syscall.SIGTERM))
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		d := description{Spec: Spec{Path: path}}
		err = d.execError(syscall.Exec(path, args, env))
		_, _ = sys.SetSignalMask(old) // what was possible before is now
	}
	return errors.Join(err, sys.Dup2(stdin, 0))
}

//go:build unix

package spawn

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// intermediate is the stage between a process and an heir that is to be nobody's child when it takes over, for a
// process cannot give a child away. It lives until it is told to go, or until nobody is left to tell it, or until the
// target has ended and it has said how. It returns only if the target could not be started.
func intermediate(st *starter, s *description) error {
	pid, err := startBelow(s)
	if err != nil {
		return err
	}
	var e encoder
	e.uint(uint64(pid))
	if sendFrame(st.channel, frameStarted, e.b) != nil {
		syscall.Exit(0) // nobody is there to tell; the heir sees that too, and takes over by itself
	}
	// As long as the target may not be held yet it must not be reaped, or its pid could become another's.
	if kind, _, files, err := recvFrame(st.channel); err != nil || kind != frameMessage || len(files) > 0 {
		syscall.Exit(0)
	}
	go func() {
		// The order to go, or the end of whoever could give it.
		_, _, _, _ = recvFrame(st.channel)
		syscall.Exit(0)
	}()
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break // no other error is possible: it is a child, and nobody else reaps here
		}
	}
	var end encoder
	end.uint(uint64(status))
	_ = sendFrame(st.channel, frameExited, end.b) // a failure is the same end as above
	syscall.Exit(0)
	return nil
}

// intermediary is our end of such a stage.
type intermediary struct {
	pid     int
	channel sys.Channel
}

// startIntermediate starts what s describes as the child of a stage, which does not reap it before it hears that it is held.
func startIntermediate(s *Spec) (i *intermediary, pid int, err error) {
	if err := s.check(); err != nil {
		return nil, 0, fail(StepStart, "", err)
	}
	d := s.describe()
	defer runtime.KeepAlive(s)
	i = &intermediary{}
	if i.pid, i.channel, err = reexec(intermediateMagic, false); err != nil {
		return nil, 0, err
	}
	payload, files := d.encode()
	sendErr := sendFrame(i.channel, frameSpec, payload, files...)
	if pid, err = awaitStart(i.channel, sendErr); err != nil {
		return nil, 0, errors.Join(err, i.channel.Close(), reapFailed(i.pid))
	}
	return i, pid, nil
}

// held says that the target may be reaped.
func (i *intermediary) held() error {
	if err := sendFrame(i.channel, frameMessage, nil); err != nil && !isGone(err) {
		return fail(StepStart, "", err)
	}
	return nil
}

// reap returns how the target has ended.
func (i *intermediary) reap() (Exit, error) {
	kind, payload, files, err := recvFrame(i.channel)
	closeAll(files)
	d := decoder{b: payload}
	status := uint32(d.uint())
	switch {
	case err == io.EOF || err != nil && isGone(err):
		err = errWordless
	case err == nil && kind != frameExited:
		err = errors.New("unexpected message")
	case err == nil:
		err = d.err
	}
	if err != nil {
		return Exit{}, errors.Join(fmt.Errorf("process %d, which could tell how it ended: %w", i.pid, err), i.leave())
	}
	return exitOf(status), i.leave()
}

// leave returns when the stage has ended and the target, if it lives, is nobody's child but init's or that of the nearest
// subreaper: the kernel gives the children away before the end of their parent can be waited for (exit_notify).
func (i *intermediary) leave() error {
	err := sendFrame(i.channel, frameRelease, nil)
	if err != nil && isGone(err) {
		err = nil
	}
	// However it ended, it is no more, and that is all it was to do.
	_ = reapFailed(i.pid)
	return errors.Join(err, i.channel.Close())
}

// isGone says that nobody has the other end of a channel any more.
func isGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

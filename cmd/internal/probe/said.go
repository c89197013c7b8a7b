package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// A ClosedError says that the program, and everything that inherited the
// descriptor from it, closed it without having written a newline: the death of
// the program, or a program that does not speak this protocol.
type ClosedError struct{ FD int }

func (e ClosedError) Error() string {
	return fmt.Sprintf("closed descriptor %d without saying ready", e.FD)
}

// HearFD waits on r, the reading end of a pipe whose writing end is the
// program's descriptor fd, for the newline by which s6 programs say that they
// are ready. What comes before the newline has no meaning. The caller must have
// closed its own writing end. r stays open, and where the kernel lets us look into a pipe the
// newline stays in it: who hears it and is killed before anybody knows has a successor that hears
// it, too.
//
// The error is a [ClosedError], or a [NotReadyError] when ctx is done first.
func HearFD(ctx context.Context, r *os.File, fd int) error {
	undo, err := interruptible(ctx, r)
	if err != nil {
		return fmt.Errorf("fd:%d: %w", fd, err)
	}
	defer undo()
	for buf := make([]byte, 64); ; {
		n, line, err := ahead(r)
		if line {
			return nil
		}
		if n == 0 {
			n = len(buf)
		}
		if err == nil {
			n, err = r.Read(buf[:n])
		} else {
			n = 0
		}
		switch {
		case bytes.IndexByte(buf[:n], '\n') >= 0:
			return nil
		case err == io.EOF:
			return ClosedError{fd}
		case err != nil && ctx.Err() != nil:
			check := Check{Probe: spec.Probe{Kind: spec.ProbeFD, FD: fd}}
			return &NotReadyError{check, errors.New("no newline yet"), context.Cause(ctx)}
		case err != nil:
			return fmt.Errorf("fd:%d: %w", fd, err)
		}
	}
}

// ahead waits until r can be read, and says whether there is a newline among the n bytes at its
// head. n is 0 where that cannot be seen without taking them out: without descriptors for a second
// pipe, and on other systems than Linux. There who reads is the only one who hears.
func ahead(r *os.File) (n int, line bool, err error) {
	raw, err := r.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	err = raw.Read(func(fd uintptr) bool {
		var cannot error
		n, line, cannot = lookAhead(int(fd))
		return !errors.Is(cannot, syscall.EAGAIN)
	})
	return n, line, err
}

// lookAhead copies the head of a pipe, and says how much that is and whether it has a newline.
func lookAhead(fd int) (n int, line bool, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, false, err
	}
	defer r.Close()
	defer w.Close()
	buf := make([]byte, 64)
	if n, err = sys.Tee(fd, int(w.Fd()), len(buf)); err != nil || n == 0 {
		return n, false, err
	}
	if n, err = r.Read(buf[:n]); err != nil {
		return n, false, err
	}
	return n, bytes.IndexByte(buf[:n], '\n') >= 0, nil
}

// Heard is what a starting program said over sd_notify(3), up to now.
type Heard struct {
	MainPID    int           // MAINPID, 0 if none: the caller judges whether that process may be it
	Status     string        // STATUS, the last one
	Errno      syscall.Errno // ERRNO, why it fails
	BusError   string        // BUSERROR, the same in the words of D-Bus
	ExitStatus *int          // EXIT_STATUS, what it says that it will exit with
	Ignored    int           // messages that did not count: senders not allowed, or cut short
}

// String tells it in one line; empty if there is nothing to tell.
func (h Heard) String() string {
	var parts []string
	if h.Errno != 0 {
		parts = append(parts, "it reported: "+h.Errno.Error())
	}
	if h.BusError != "" {
		parts = append(parts, "it reported: "+h.BusError)
	}
	if h.ExitStatus != nil {
		parts = append(parts, fmt.Sprintf("it reported exit status %d", *h.ExitStatus))
	}
	if h.Status != "" {
		parts = append(parts, fmt.Sprintf("its last status: %q", h.Status))
	}
	if h.Ignored > 0 {
		parts = append(parts, fmt.Sprintf("%d messages from others ignored", h.Ignored))
	}
	return strings.Join(parts, "; ")
}

// Listener decides what [Hear] makes of the messages.
type Listener struct {
	// Allowed tells whether the sender belongs to the service; nil refuses
	// everybody. A sender that has exited can be known by its ids alone.
	Allowed func(sys.Sender) bool
	// Extend, if not nil, is called for EXTEND_TIMEOUT_USEC with the time from
	// now on; the second result of [WithTimeout] fits.
	Extend func(time.Duration)
}

// Hear receives messages until the program says READY=1 and returns nil, or
// until ctx is done, with a [NotReadyError]. In either case it returns what it
// heard; ERRNO and EXIT_STATUS announce a failure, but it is the end of the
// process that proves it, so they do not end the waiting.
//
// Each BARRIER is answered in its turn; one that follows READY=1 is, by closing
// the socket, which the caller does. Other descriptors that come along are
// closed: there is no store here.
func Hear(ctx context.Context, socket *sys.NotifySocket, l Listener) (Heard, error) {
	var h Heard
	undo, err := interruptible(ctx, socket.File())
	if err != nil {
		return h, fmt.Errorf("notify: %w", err)
	}
	defer undo()
	for buf := make([]byte, notify.MaxSize+1); ; {
		packet, err := socket.Receive(buf)
		if err != nil && ctx.Err() != nil {
			return h, h.notReady(ctx)
		}
		if err != nil {
			return h, fmt.Errorf("notify: %w", err)
		}
		ready := h.take(buf[:packet.N], packet, l)
		packet.CloseFiles()
		if ready {
			return h, nil
		}
	}
}

// take reads one message and tells whether it says ready.
func (h *Heard) take(data []byte, packet sys.Packet, l Listener) bool {
	if packet.Cut || l.Allowed == nil || !l.Allowed(packet.Sender) {
		h.Ignored++
		return false
	}
	// The fields that could be read count, whatever else is in the message, as
	// they do for systemd.
	m, _ := notify.Parse(data)
	if m.MainPID != 0 {
		h.MainPID = m.MainPID
	}
	if m.Status != nil {
		h.Status = *m.Status
	}
	if m.Errno != nil {
		h.Errno = *m.Errno
	}
	if m.BusError != "" {
		h.BusError = m.BusError
	}
	if m.ExitStatus != nil {
		h.ExitStatus = m.ExitStatus
	}
	if m.ExtendTimeout > 0 && l.Extend != nil {
		l.Extend(m.ExtendTimeout)
	}
	return m.Ready
}

func (h Heard) notReady(ctx context.Context) error {
	last := errors.New("no READY=1 yet")
	if more := h.String(); more != "" {
		last = fmt.Errorf("%w; %s", last, more)
	}
	return &NotReadyError{
		Check{Probe: spec.Probe{Kind: spec.ProbeNotify}}, last, context.Cause(ctx),
	}
}

// interruptible makes every read from f end when ctx does. undo takes that
// back, so that f can be read from again.
func interruptible(ctx context.Context, f *os.File) (undo func(), err error) {
	// What the runtime's poller cannot wait for could not be interrupted.
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		f.SetReadDeadline(time.Unix(1, 0)) // it worked above; a closed file ends the read by itself
	})
	return func() {
		if !stop() {
			<-done
			f.SetReadDeadline(time.Time{})
		}
	}, nil
}

// WithTimeout is context.WithTimeoutCause with an end that can be put off: after extend(d)
// the context lasts at least d from then on. It never ends sooner for that, as
// EXTEND_TIMEOUT_USEC is defined, sd_notify(3). Its cause is
// [context.DeadlineExceeded]. extend is for one goroutine.
func WithTimeout(
	parent context.Context, d time.Duration,
) (ctx context.Context, extend func(time.Duration), cancel func()) {
	ctx, stop := context.WithCancelCause(parent)
	end := time.Now().Add(d)
	timer := time.AfterFunc(d, func() { stop(context.DeadlineExceeded) })
	extend = func(d time.Duration) {
		if later := time.Now().Add(d); later.After(end) {
			end = later
			timer.Reset(d) // if it has fired, the context is done and stays so
		}
	}
	return ctx, extend, func() { timer.Stop(); stop(context.Canceled) }
}

// Package hearing receives what services say (sd_notify(3)), and keeps what comes of processes that
// nobody knows yet.
package hearing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
)

// Message is a message and who sent it, as the kernel says.
type Message struct {
	Sender sys.Sender
	notify.Message
	Files []int // that came with it; whoever handed over the message closes them
}

// Options say whom a Hearing is for. All functions but Close and Trouble are called by the owner of
// Loop.
type Options struct {
	Loop *loop.Loop
	// Take does what a message says, if it is known whose it is.
	Take func(Message) bool
	// Expecting says whether processes are being started that are not known yet.
	Expecting func() bool
	// Close closes what came with a message, by any goroutine.
	Close func(*sys.Packet)
	// Trouble is told of difficulties, by any goroutine.
	Trouble func(error)
}

// Hearing has the socket that services speak to. The zero value but for Options hears nothing.
type Hearing struct {
	o       Options
	socket  *sys.NotifySocket
	listen  func(*sys.NotifySocket) // nil before Listen
	renewed []*sys.NotifySocket     // earlier ones: who has connected to one speaks to it still
	unknown []Message               // of processes that may be ones that are just being started

	receiving sync.Mutex // held from the receipt of a message until it is posted

	paused bool
	resume chan struct{} // closed when it is over; nil: nobody has asked for a pause
}

// New makes one that hears nothing before Open and Listen.
func New(o Options) *Hearing { return &Hearing{o: o} }

// Address is what services find in NOTIFY_SOCKET, "" if there is no socket.
func (h *Hearing) Address() string {
	if h.socket == nil {
		return ""
	}
	return h.socket.Address
}

// FD is the socket for the next program of this process, 0 if there is none.
func (h *Hearing) FD() (fd int, err error) {
	if h.socket == nil {
		return 0, nil
	}
	conn, err := h.socket.File().SyscallConn()
	if err == nil {
		err = conn.Control(func(n uintptr) { fd = int(n) })
	}
	if err != nil {
		return 0, fmt.Errorf("notify socket: %w", err)
	}
	return fd, nil
}

// Close closes the socket, and takes its name away.
func (h *Hearing) Close() error {
	var errs []error
	for _, socket := range h.renewed {
		errs = append(errs, socket.File().Close())
	}
	if h.socket != nil {
		errs = append(errs, h.socket.Close())
	}
	return errors.Join(errs...)
}

// Listen receives messages until ctx ends, and hands each to the owner.
func (h *Hearing) Listen(ctx context.Context) {
	if h.socket == nil {
		return
	}
	h.listen = func(socket *sys.NotifySocket) { go h.receive(ctx, socket) }
	h.listen(h.socket)
}

func (h *Hearing) receive(ctx context.Context, socket *sys.NotifySocket) {
	buf := make([]byte, notify.MaxSize+1)
	told := "" // the error that was told last, once and not ten times a second
	for ctx.Err() == nil {
		packet, err := socket.ReceiveLocked(buf, &h.receiving)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			h.stand(ctx)
			continue
		}
		if err != nil { // a shortage that passes, of memory or descriptors
			if text := err.Error(); text != told {
				told = text
				h.o.Trouble(fmt.Errorf("notify socket: %w", err))
			}
			select {
			case <-time.After(errorPause):
			case <-ctx.Done():
			}
			continue
		}
		told = ""
		// Fields that can be read count even if others cannot.
		m, _ := notify.Parse(buf[:packet.N])
		if packet.Cut {
			h.receiving.Unlock()
		} else {
			// An error means that the owner is ending, and nothing is heard any more.
			_ = h.o.Loop.AskAnd(ctx, h.receiving.Unlock,
				func() { h.Heard(Message{packet.Sender, m, packet.Files}) })
		}
		// and by that answers BARRIER=1: all that was sent before has been taken in
		h.o.Close(&packet)
	}
}

// errorPause is how long nothing is heard after an error.
const errorPause = 100 * time.Millisecond

// What is kept of processes whose start is not known yet, at most. Beyond it somebody floods us:
// any user of the machine can send a thousand messages with 253 descriptors each, and to have none
// left would end much more than a start.
const (
	mostUnknown      = 1000
	mostUnknownFiles = 256
)

// Heard takes a message in. A program that is quick speaks before its start is known here.
func (h *Hearing) Heard(m Message) {
	if h.o.Take(m) || !h.o.Expecting() || len(h.unknown) >= mostUnknown {
		return
	}
	var keep []int
	if m.FDStore { // else they are not to be left with us
		keep = m.Files
	}
	kept := 0
	for _, other := range h.unknown {
		kept += len(other.Files)
	}
	err := errUnknownFiles
	if m.Files = nil; kept+len(keep) <= mostUnknownFiles {
		m.Files, err = handover.Copy(keep)
	}
	if err != nil {
		h.o.Trouble(fmt.Errorf("descriptor store: %w", err))
	}
	h.unknown = append(h.unknown, m)
}

var errUnknownFiles = errors.New("too many descriptors of processes whose start is not known " +
	"yet: some are not kept")

// Again takes in what was said too early, after a start has become known.
func (h *Hearing) Again() {
	unknown := h.unknown
	h.unknown = nil
	for _, m := range unknown {
		if !h.o.Take(m) && h.o.Expecting() {
			h.unknown = append(h.unknown, m)
			continue
		}
		handover.CloseAway(m.Files)
	}
}

// lookPeriod is how often we look whether all that waits in the socket has been taken in.
const lookPeriod = time.Millisecond

// WhenAllIsHeard runs then by the owner when all that is in the socket has been taken in, unless it
// is in vain by then.
func (h *Hearing) WhenAllIsHeard(matters func() bool, then func()) {
	if !matters() {
		return
	}
	// Whoever receives holds the lock until the message is posted, which then runs after it.
	h.receiving.Lock()
	waiting := h.socket.Waiting()
	h.receiving.Unlock()
	if waiting {
		time.AfterFunc(lookPeriod,
			func() { h.o.Loop.Post(func() { h.WhenAllIsHeard(matters, then) }) })
		return
	}
	h.o.Loop.Post(func() {
		if matters() {
			then()
		}
	})
}

// Pause has nothing more be received until Resume. Messages stay in the socket.
func (h *Hearing) Pause() error {
	h.resume = make(chan struct{})
	if h.paused = h.socket == nil; h.paused {
		return nil
	}
	if err := h.socket.File().SetReadDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("notify socket: %w", err)
	}
	return nil
}

// Paused says whether the pause has begun: all that was received is taken in.
func (h *Hearing) Paused() bool { return h.paused }

// Resume ends a pause.
func (h *Hearing) Resume() {
	h.paused = false
	if h.socket != nil {
		if err := h.socket.File().SetReadDeadline(time.Time{}); err != nil &&
			!errors.Is(err, os.ErrClosed) {
			h.o.Trouble(fmt.Errorf("notify socket: %w", err))
		}
	}
	close(h.resume)
	h.resume = nil
}

// stand is what receive does in a pause. The owner has taken in all that it heard before. The pause
// may have been given up meanwhile: then there is nothing to wait for.
func (h *Hearing) stand(ctx context.Context) {
	var resume chan struct{}
	if h.o.Loop.Ask(ctx, func() {
		if resume = h.resume; resume != nil {
			h.paused = true
		}
	}) != nil || resume == nil {
		return
	}
	select {
	case <-resume:
	case <-ctx.Done():
	}
}

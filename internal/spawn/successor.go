package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/daemonry/daemonry/internal/sys"
)

// Successor is a process that was started to take this one's place: a child with a
// channel to us, which it finds with Inherited as a daemon finds its birth.
//
// Unlike every other pair here, the two ends are different binaries. So what
// travels may be added to at its end, and nothing may be taken away.
type Successor struct {
	PID     int
	channel sys.Channel
	process *sys.Process  // nil: it was dead before it could be held
	between *intermediary // nil: it is our child
}

// StartSuccessor starts the process that s describes, which must import this package
// for anything to come of it. The handovers travel along. It gets stdin as its
// standard input once it has taken the channel from there. It begins in the directory of KeepOrigin
// and finds the one of this process with Arrive.
//
// The caller must Reap it, unless it lives on, and Close the Successor. When ctx ends before the
// successor is executed, it is not.
func StartSuccessor(
	ctx context.Context, s *Spec, stdin *os.File, handovers []Handover,
) (*Successor, error) {
	return beginSuccessor(s, stdin, handovers, func(h *Successor, s *Spec) (err error) {
		h.PID, err = Start(ctx, s)
		return err
	})
}

// StartSuccessorApart is StartSuccessor for a successor that can be Let go: it becomes a child of
// init, or of the nearest subreaper, while this process still lives. It is then the child of a
// manager that is either of the two, and that is what systemd wants of a main process: it asks
// whether it is its parent in the moment in which MAINPID= names one, and at a stop does not wait
// for the end of one that is not its child, but sends SIGKILL at once (KillMode=mixed;
// unit_kill_context). If this process dies, the successor is let go.
func StartSuccessorApart(
	ctx context.Context, s *Spec, stdin *os.File, handovers []Handover,
) (*Successor, error) {
	return beginSuccessor(s, stdin, handovers, func(h *Successor, s *Spec) (err error) {
		h.between, h.PID, err = startIntermediate(ctx, s)
		return err
	})
}

func beginSuccessor(
	s *Spec, stdin *os.File, handovers []Handover, start func(*Successor, *Spec) error,
) (*Successor, error) {
	handovers, done, err := withOrigin(handovers)
	if err != nil {
		return nil, err
	}
	defer done()
	payload, files, err := encodeHandovers(handovers)
	if err != nil {
		return nil, fail(StepStart, "", err)
	}
	o, err := successorOrders(payload, stdin, files)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := o.give()
	if err != nil {
		return nil, err
	}
	runtime.KeepAlive(files)
	end := os.NewFile(uintptr(theirs), "channel")
	defer end.Close()
	h := &Successor{channel: ours}
	target := *s
	target.Files = append([]File{{FD: 0, Source: end}}, s.Files...)
	if err := start(h, &target); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	// Not reaped yet, so the pid is its own.
	if h.process, err = sys.Pin(h.PID); sys.UnlessGone(err) != nil {
		kill := errors.Join(sys.Kill(h.PID, sys.SIGKILL), h.mayReap())
		_, lost := h.Reap()
		return nil, errors.Join(fail(StepStart, "", err), kill, lost, ours.Close())
	}
	// If it has ended, the caller will see how.
	err = UnlessClosed(sendFrame(h.channel, frameKnown, nil))
	if err = errors.Join(err, h.mayReap()); err != nil {
		kill := h.Signal(sys.SIGKILL)
		_, lost := h.Reap()
		return nil, errors.Join(err, kill, lost, h.Close())
	}
	return h, nil
}

// mayReap says that the successor is held, where another than this process reaps it.
func (h *Successor) mayReap() error {
	if h.between == nil {
		return nil
	}
	return h.between.held()
}

// LetGo returns when the successor is not below this process any more. It can then not be Reaped.
func (h *Successor) LetGo() error {
	if h.between == nil {
		return nil
	}
	return h.between.leave()
}

// successorOrders are those of a successor that gets stdin as its standard input.
func successorOrders(payload []byte, stdin *os.File, files []*os.File) (*orders, error) {
	if len(files) > maxFiles {
		return nil, fail(StepStart, "",
			fmt.Errorf("%d files to hand over, at most %d can be", len(files), maxFiles))
	}
	if err := CheckFile(stdin); err != nil {
		return nil, fail(StepStart, "", fmt.Errorf("standard input %w", err))
	}
	fds := []int{int(stdin.Fd())}
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	return &orders{successorMagic, payload, fds}, nil
}

// Receive returns the next message, or io.EOF when the successor is dead or has closed its end.
func (h *Successor) Receive() ([]byte, error) { return receiveMessage(h.channel) }

// HearNoMore has Receive return what was said until now, and then io.EOF, though the other end be
// open. Linux only.
func (h *Successor) HearNoMore() error { return h.channel.CloseRead() }

// Send sends the successor a message. EPIPE and ECONNRESET mean that it is gone.
func (h *Successor) Send(message []byte) error {
	return sendFrame(h.channel, frameMessage, message)
}

// Wait returns nil when the successor has ended, and leaves it to be reaped; the context's cause if
// that comes first.
func (h *Successor) Wait(ctx context.Context) error {
	if h.process == nil {
		return nil
	}
	return h.process.Wait(ctx)
}

// Signal sends sig to the successor. That it is gone is no error.
func (h *Successor) Signal(sig sys.Signal) error {
	if h.process == nil {
		return nil
	}
	return sys.UnlessGone(h.process.Signal(sig))
}

// Close ends our part of the channel, which tells the successor that we are gone.
func (h *Successor) Close() error {
	var err error
	if h.process != nil {
		err = h.process.Close()
	}
	return errors.Join(err, h.channel.Close())
}

// Known waits for the word that the one whose place this successor is to take has it in its hands.
// An error means that it never will: a process that nobody knows of must not take anybody's place.
func (b *Born) Known() error {
	kind, _, err := recvFrame(b.channel)
	switch {
	case err == io.EOF || isGone(err):
		return errors.New("the process that started this one has given it up")
	case err == nil && kind != frameKnown:
		return errors.New("unexpected message")
	}
	return err
}

// Receive returns the next message of the one who started this process, or io.EOF when that one is
// gone.
func (b *Born) Receive() ([]byte, error) { return receiveMessage(b.channel) }

// Orphaned says that the one who started this process is gone, or has closed its end.
func (b *Born) Orphaned() bool {
	var first [1]byte
	n, err := b.channel.Peek(first[:])
	return n == 0 && err == nil
}

// Handover returns what the predecessor of this process left for the part of the program that goes
// by that name.
func (b *Born) Handover(name string) (data []byte, files []*os.File, found bool) {
	d := decoder{b: b.Payload}
	rest := b.Files
	for range d.count() {
		part, content, n := d.string(), d.bytes(), d.uint()
		if d.err != nil || n > uint64(len(rest)) {
			return nil, nil, false
		}
		if part == name {
			return content, rest[:n], true
		}
		rest = rest[n:]
	}
	return nil, nil, false
}

func receiveMessage(c sys.Channel) ([]byte, error) {
	for {
		kind, payload, err := recvFrame(c)
		if errors.Is(err, sys.ECONNRESET) { // it died with something of ours unread
			err = io.EOF
		}
		if err != nil || kind == frameMessage {
			return payload, err
		}
	}
}

// Handover is what one part of a program hands to the same part of the process that takes its
// place. The functions may be nil, but for Give.
type Handover struct {
	Name string
	// Give returns what is handed over, at each attempt anew. The files stay the giver's.
	Give func() (data []byte, files []*os.File)
	// Succeed is called in the successor when it takes the place.
	Succeed func() error
	// Retire is called in the process whose place was taken.
	Retire func() error
	// Resume is called in a process whose successor failed after Succeed may have begun.
	Resume func() error
}

// handovers are the handovers of this process: there is one, so there is one list.
var handovers struct {
	sync.Mutex
	list []Handover
}

// AddHandover adds a handover to what every successor of this process gets. A name can be used
// once.
func AddHandover(l Handover) error {
	handovers.Lock()
	defer handovers.Unlock()
	if slices.ContainsFunc(handovers.list, func(h Handover) bool { return h.Name == l.Name }) {
		return fmt.Errorf("%s is in use in this process already", l.Name)
	}
	handovers.list = append(handovers.list, l)
	return nil
}

// Handovers returns what was handed over, in that order.
func Handovers() []Handover {
	handovers.Lock()
	defer handovers.Unlock()
	return slices.Clone(handovers.list)
}

func encodeHandovers(handovers []Handover) ([]byte, []*os.File, error) {
	var e encoder
	var all []*os.File
	e.uint(uint64(len(handovers)))
	for _, l := range handovers {
		data, files := l.Give()
		for i, f := range files {
			if err := CheckFile(f); err != nil {
				return nil, nil, fmt.Errorf("file %d of what %s hands over %w", i, l.Name, err)
			}
		}
		e.string(l.Name)
		e.bytes(data)
		e.uint(uint64(len(files)))
		all = append(all, files...)
	}
	return e.b, all, nil
}

// UnlessClosed is err, but nil if err says that nobody has the other end of the channel any more.
func UnlessClosed(err error) error {
	if isGone(err) {
		return nil
	}
	return err
}

// isGone says that nobody has the other end of a channel any more.
func isGone(err error) bool {
	return errors.Is(err, sys.EPIPE) || errors.Is(err, sys.ECONNRESET)
}

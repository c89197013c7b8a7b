package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// Client tells one receiver. The zero Client tells the one that $NOTIFY_SOCKET
// names at the time of each call. A Client may be copied and used by many
// goroutines at once; every message travels over a socket of its own.
type Client struct {
	// Socket is an address in the form of $NOTIFY_SOCKET: an absolute path; '@'
	// and the name of an abstract socket; vsock:CID:PORT, also vsock-dgram:,
	// vsock-seqpacket: and vsock-stream:. Empty means the variable itself; when
	// that is unset or empty too, nobody asked.
	Socket string

	// Pipe, if not nil, is where another kind of manager waits for a newline: see
	// OpenPipe. The first Ready writes it and closes Pipe.
	Pipe *os.File

	// Timeout is how long a message may wait for a receiver whose queue is full;
	// a zero one waits as long as it takes, as sd_notify does. It does not limit
	// how long Barrier waits for the answer.
	Timeout time.Duration

	conn *os.File // of Connect
}

const socketVariable = "NOTIFY_SOCKET"

// Take returns a Client for the address in $NOTIFY_SOCKET and unsets the
// variable, so that no process started from here on speaks in our name. Call it
// before other goroutines read the environment.
func Take() Client {
	c := Client{Socket: os.Getenv(socketVariable)}
	os.Unsetenv(socketVariable) // fails for a malformed name only
	return c
}

// Send sends m and, with FDStore, MainPIDFD, Barrier or a private field, open
// files: at most 253, which stay open here too.
//
// The receiver learns our pid and our real ids from the kernel. Files cannot
// travel over vsock.
func (c Client) Send(m Message, files ...*os.File) (sent bool, err error) {
	return c.send(context.Background(), m, files)
}

func (c Client) send(ctx context.Context, m Message, files []*os.File) (bool, error) {
	// A wrong message is an error whether or not anybody listens, so that it is
	// found where the program is written.
	text, err := m.Encode()
	if err != nil {
		return false, err
	}
	if err := checkFiles(m, len(files)); err != nil {
		return false, err
	}
	socket := c.address()
	if socket == "" {
		return false, nil
	}
	dst, err := parseAddress(socket)
	if err != nil {
		return false, err
	}
	if dst.vsock && len(files) > 0 {
		return false, fmt.Errorf("notify %s: files cannot be sent over vsock", socket)
	}
	err = withFDs(files, nil, func(fds []int) error { return c.deliver(ctx, dst, text, fds) })
	if err != nil {
		return false, fmt.Errorf("notify %s: %w", socket, err)
	}
	return true, nil
}

// address is where to send; "" is to nobody.
func (c Client) address() string {
	return cmp.Or(c.Socket, os.Getenv(socketVariable))
}

func checkFiles(m Message, n int) error {
	switch {
	case n > sys.MaxFiles:
		return fmt.Errorf("notify message: %d files, at most %d in one", n, sys.MaxFiles)
	case m.Barrier && n != 1, m.MainPIDFD && !m.FDStore && n != 1:
		return fmt.Errorf("notify message: %d files, exactly one is needed", n)
	case m.FDStore && n == 0:
		return errors.New("notify message: FDSTORE=1 without a file")
	case n > 0 && !m.FDStore && !m.Barrier && !m.MainPIDFD && m.Other == nil:
		return errors.New("notify message: nothing in it says what the files are for: they would " +
			"be closed unread")
	}
	return nil
}

// withFDs calls use with the descriptors of files, which stay open meanwhile.
// (*os.File).Fd would do, but for making a non-blocking file blocking for
// everybody who has it open.
func withFDs(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	return sys.WithFD(files[0],
		func(fd int) error { return withFDs(files[1:], append(fds, fd), use) })
}

// Ready says that start-up, or the reload that Reloading announced, is finished.
// It tells whoever waits: the socket, and the first time also the Pipe.
func (c Client) Ready() (bool, error) {
	sent, err := c.Send(Message{Ready: true})
	if c.Pipe == nil {
		return sent, err
	}
	told, pipeErr := tellPipe(c.Pipe)
	if err = errors.Join(err, pipeErr); err != nil {
		return false, err
	}
	return sent || told, nil
}

// Status shows one line of UTF-8 to people; the empty text clears it.
func (c Client) Status(text string) (bool, error) { return c.Send(Message{Status: &text}) }

// Reloading says that a reload begins, and when (MONOTONIC_USEC). Ready must follow.
func (c Client) Reloading() (bool, error) {
	now, err := sys.Monotonic()
	if err != nil {
		return false, fmt.Errorf("notify: %w", err)
	}
	return c.Send(Message{Reloading: true, Monotonic: now})
}

// Stopping says that the shutdown begins. Systemd 259 and later ignore any Ready
// and Reloading that comes after it.
func (c Client) Stopping() (bool, error) { return c.Send(Message{Stopping: true}) }

// Watchdog gives a sign of life. See WatchdogInterval and KeepAlive.
func (c Client) Watchdog() (bool, error) { return c.Send(Message{Watchdog: true}) }

// ExtendTimeout asks for d until the next message, however long start, running or
// stopping has been allowed; the first time before that limit has passed.
func (c Client) ExtendTimeout(d time.Duration) (bool, error) {
	return c.Send(Message{ExtendTimeout: d})
}

// MainPID says that the living process pid, this one or a child of it, is the
// main one from now on. Where the kernel can name a process without the risk that
// its number is used again (Linux 6.9), that name goes along.
func (c Client) MainPID(pid int) (bool, error) {
	id, err := sys.PidfdID(pid)
	if errors.Is(err, errors.ErrUnsupported) {
		if err = sys.Kill(pid, 0); errors.Is(err, syscall.EPERM) {
			err = nil // it is there
		}
	}
	if err != nil {
		return false, fmt.Errorf("notify: main process %d: %w", pid, err)
	}
	return c.Send(Message{MainPID: pid, MainPIDFDID: id})
}

// StoreFDs gives the files into keeping under a name (see Message.FDName); they
// come back, under that name, at the next start of the service. Whether and how
// many are kept is up to the manager, which does not say: $FDSTORE has its limit
// (systemd 254).
func (c Client) StoreFDs(name string, files ...*os.File) (bool, error) {
	return c.Send(Message{FDStore: true, FDName: name}, files...)
}

// RemoveFDs drops all files kept under the name.
func (c Client) RemoveFDs(name string) (bool, error) {
	return c.Send(Message{FDStoreRemove: true, FDName: name})
}

// Barrier returns when the receiver has dealt with all that this process sent
// before, or with the cause of ctx's end. A process that is about to exit needs
// it: whose message it was can often not be told once the sender is gone. A
// receiver that dies with the message unread cannot be told from one that has
// dealt with it.
func (c Client) Barrier(ctx context.Context) (bool, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("notify barrier: %w", err)
	}
	defer r.Close()
	sent, err := c.send(ctx, Message{Barrier: true}, []*os.File{w})
	w.Close() // the receiver's must be the last
	if !sent {
		return false, err
	}
	defer endWith(ctx, r)()
	switch n, err := r.Read(make([]byte, 1)); {
	case n > 0:
		return false, errors.New("notify barrier: the receiver wrote into it")
	case err == io.EOF:
		return true, nil
	case ctx.Err() != nil:
		return false, fmt.Errorf("notify barrier: no answer: %w", context.Cause(ctx))
	default:
		return false, fmt.Errorf("notify barrier: %w", err)
	}
}

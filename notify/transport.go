package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// address is a parsed $NOTIFY_SOCKET.
type address struct {
	to    sys.Address
	vsock bool
	kinds []int // socket types to try, the first that this machine has
}

var vsockKinds = map[string][]int{
	// Few hypervisors have datagrams, older ones no packets.
	"vsock":           {sys.SOCK_DGRAM, sys.SOCK_SEQPACKET, sys.SOCK_STREAM},
	"vsock-dgram":     {sys.SOCK_DGRAM},
	"vsock-seqpacket": {sys.SOCK_SEQPACKET},
	"vsock-stream":    {sys.SOCK_STREAM},
}

// maxUnixName is the shortest sun_path there is less its NUL (104 on the BSDs,
// 108 on Linux and illumos).
func maxUnixName() int {
	switch runtime.GOOS {
	case "linux", "android", "illumos", "solaris":
		return 107
	}
	return 103
}

func parseAddress(s string) (address, error) {
	bad := func(problem string) (address, error) {
		return address{}, fmt.Errorf("notify address %s: %s", quoteShort(s), problem)
	}
	switch {
	case strings.IndexByte(s, 0) >= 0: // only in Client.Socket: no variable has one
		return bad("a NUL byte in it")
	case s[0] == '/', s[0] == '@' && len(s) > 1:
		if len(s) > maxUnixName() {
			return bad("too long for a unix socket")
		}
		return address{to: sys.Address{Unix: s}, kinds: []int{sys.SOCK_DGRAM}}, nil
	}
	scheme, rest, _ := strings.Cut(s, ":")
	kinds, ok := vsockKinds[scheme]
	if !ok {
		return bad("neither an absolute path, @name nor vsock:CID:PORT")
	}
	cidText, portText, _ := strings.Cut(rest, ":")
	cid, err1 := strconv.ParseUint(cidText, 10, 32)
	port, err2 := strconv.ParseUint(portText, 10, 32)
	if err1 != nil || err2 != nil || uint32(cid) == sys.VsockAny || uint32(port) == ^uint32(0) {
		return bad("not vsock:CID:PORT with both given")
	}
	return address{
		to:    sys.Address{CID: uint32(cid), Port: uint32(port)},
		vsock: true,
		kinds: kinds,
	}, nil
}

// deliver sends text and fds as one message and, on a stream, waits until the
// receiver has taken it.
func (c Client) deliver(ctx context.Context, dst address, text []byte, fds []int) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	conn, kind, err := c.open(dst)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.Timeout > 0 {
		if err := conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
			return err
		}
	}
	defer endWith(ctx, conn)()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	stream := dst.vsock && kind != sys.SOCK_DGRAM
	if stream {
		err := waitFor(raw.Write, func(fd int) (bool, error) { return sys.SocketConnected(fd) })
		if err != nil {
			return err
		}
	}
	if err := sendAll(raw, text, fds, dst.sender()); err != nil || !stream {
		return err
	}
	return finish(raw)
}

// open opens a connection to dst, or our own copy of the one that is kept (Connect), whose
// deadlines are nobody else's.
func (c Client) open(dst address) (conn *os.File, kind int, err error) {
	if c.conn == nil {
		return dst.open()
	}
	err = sys.WithFD(c.conn, func(fd int) (err error) {
		fd, err = sys.DupAbove(fd, 0)
		conn = os.NewFile(uintptr(fd), "notify")
		return err
	})
	return conn, sys.SOCK_DGRAM, err
}

// open makes a connected, or connecting, socket of the first kind that there is.
func (a address) open() (conn *os.File, kind int, err error) {
	for _, kind = range a.kinds {
		conn, err = a.openKind(kind)
		if err == nil || !kindMissing(err) {
			break
		}
	}
	return conn, kind, err
}

// openKind connects datagram sockets too, so that the poller can tell when the
// receiver has room again: an unconnected unix socket is always writable
// (unix_dgram_poll).
func (a address) openKind(kind int) (*os.File, error) {
	open := sys.OpenVsock
	if !a.vsock {
		open = func(int) (int, error) { return sys.OpenUnixDatagram() }
	}
	fd, err := open(kind)
	if err != nil {
		return nil, err
	}
	if a.vsock {
		// A privileged port tells the receiver that root sends. An ordinary user
		// has none and sends without.
		err = sys.BindVsockPrivileged(fd)
		if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
			err = nil
		}
	}
	if err == nil {
		err = sys.Connect(fd, a.to)
	}
	if err != nil && !errors.Is(err, sys.EINPROGRESS) {
		return nil, errors.Join(err, sys.CloseFD(fd))
	}
	return os.NewFile(uintptr(fd), "notify"), nil
}

// kindMissing says whether sockets of this kind do not exist here, so that the
// next is worth trying. A kernel may learn it from the transport only when it
// connects (vsock_assign_transport).
func kindMissing(err error) bool {
	switch errno, _ := sys.Errno(err); errno {
	case sys.ENODEV, sys.EOPNOTSUPP, sys.EPROTONOSUPPORT, sys.ESOCKTNOSUPPORT:
		return true
	}
	return false
}

// sender returns what to say about us explicitly: our real ids if they are not
// the effective ones, as sd_notify does. A receiver that has SO_PASSCRED on is
// told them by the kernel in any case; this is for one that turns it on when it
// reads.
func (a address) sender() *sys.Sender {
	if a.vsock || runtime.GOOS != "linux" ||
		os.Getuid() == os.Geteuid() && os.Getgid() == os.Getegid() {
		return nil
	}
	return &sys.Sender{PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid()}
}

func sendAll(raw syscall.RawConn, text []byte, fds []int, as *sys.Sender) error {
	return waitFor(raw.Write, func(fd int) (bool, error) {
		n, err := sys.SendMsg(fd, text, fds, as)
		if errors.Is(err, sys.EAGAIN) {
			return false, nil
		}
		text = text[n:] // a stream may take a part
		return err != nil || len(text) == 0, err
	})
}

// finish ends a stream and waits for the receiver to end it too, which says that
// it has read the message.
func finish(raw syscall.RawConn) error {
	err := waitFor(raw.Write, func(fd int) (bool, error) { return true, sys.ShutdownWrite(fd) })
	if err != nil {
		return err
	}
	return waitFor(raw.Read, func(fd int) (bool, error) {
		pkt, err := sys.RecvMsg(fd, make([]byte, 1))
		switch {
		case errors.Is(err, sys.EAGAIN):
			return false, nil
		case err == nil && pkt.N > 0:
			return true, errors.New("the receiver answered, which is not in the protocol")
		}
		return true, err
	})
}

// waitFor calls step through one of a RawConn's methods until it is done or fails.
func waitFor(
	method func(func(uintptr) bool) error, step func(fd int) (done bool, err error),
) error {
	var stepErr error
	err := method(func(fd uintptr) bool {
		done, err := step(int(fd))
		stepErr = err
		return done || err != nil
	})
	if stepErr != nil {
		return stepErr
	}
	return err
}

// endWith makes every wait on f end when ctx does; the returned function takes it
// back.
func endWith(ctx context.Context, f *os.File) (undo func() bool) {
	return context.AfterFunc(ctx, func() { f.SetDeadline(time.Unix(1, 0)) })
}

package sys

// Channel is one end of a socket pair (unix, stream, close-on-exec, blocking)
// between a process and one that it started. It carries bytes and descriptors,
// and reports the other end's death as an end of file. A Channel is a bare
// descriptor number because it is used before and after execve, where an
// os.File would bring the runtime's poller along.
type Channel int

// NewChannel makes a pair of connected channels.
func NewChannel() (a, b Channel, err error) { return newChannel() }

// Send writes all of p; files, which may be none and at most 253 (SCM_MAX_FD),
// travel with its first byte as SCM_RIGHTS (unix(7)). The dead other end is EPIPE, never SIGPIPE.
func (c Channel) Send(p []byte, files ...int) error { return c.send(p, files) }

// Recv reads up to len(p) bytes and the descriptors that came with them, all
// close-on-exec. The end of the stream is io.EOF.
func (c Channel) Recv(p []byte) (n int, files []int, err error) { return c.recv(p) }

// Peek copies the bytes that have arrived, without waiting and without taking them.
func (c Channel) Peek(p []byte) (int, error) { return c.peek(p) }

// PeekFile is Peek that also returns a copy, close-on-exec, of the first descriptor that came with
// the first of these bytes; -1 if none came. Only Linux; elsewhere the bytes are returned with an
// error that wraps errors.ErrUnsupported, for there a look would take descriptors or return what
// are none (BSD's soreceive).
func (c Channel) PeekFile(p []byte) (n, fd int, err error) { return c.peekFile(p) }

// Unread says whether something that was sent on c has not been received at the other end yet. Only
// Linux; elsewhere the error wraps errors.ErrUnsupported.
func (c Channel) Unread() (bool, error) { return c.unread() }

// Unnamed says whether c is a unix stream socket without an address: one end of
// a socketpair(2), which only an ancestor can have made. What somebody connected to a listening
// socket (inetd, systemd's Accept=yes) has the listener's address.
func (c Channel) Unnamed() bool { return c.unnamed() }

// Peer tells who made the pair, as PeerOf does: not who has the other end now. Errors are those of
// PeerOf.
func (c Channel) Peer() (Peer, error) { return peerOf(int(c)) }

// Close closes the descriptor.
func (c Channel) Close() error { return CloseFD(int(c)) }

// CloseFD closes a descriptor. EINTR is not retried: the descriptor is gone on
// Linux and may already be another's (close(2), "Dealing with error returns from close()").
func CloseFD(fd int) error { return closeFD(fd) }

package spec

import (
	"path"
	"strconv"
	"strings"
)

// StreamKind is what one of the descriptors 0, 1 and 2 is connected to.
type StreamKind string

const (
	StreamNull     StreamKind = "null"     // /dev/null
	StreamLog      StreamKind = "log"      // what Service.Log says
	StreamInherit  StreamKind = "inherit"  // the starter's own
	StreamStdout   StreamKind = "stdout"   // the same as standard output
	StreamPath     StreamKind = "path"     // Stream.Path, appended to or read
	StreamTruncate StreamKind = "truncate" // Stream.Path, emptied first
)

// Stream is what a standard descriptor is connected to. Its text is the kind,
// or PATH, or "truncate:PATH". A file with the name of a kind is "./log".
type Stream struct {
	Kind StreamKind
	Path string // of path and truncate
}

// ParseStream reads the text form.
func ParseStream(text string) (Stream, error) {
	switch kind := StreamKind(text); kind {
	case StreamNull, StreamLog, StreamInherit, StreamStdout:
		return Stream{Kind: kind}, nil
	}
	kind, name := StreamPath, text
	if rest, ok := strings.CutPrefix(text, "truncate:"); ok {
		kind, name = StreamTruncate, rest
	} else if rest, ok := strings.CutPrefix(text, "append:"); ok {
		name = rest
	}
	if name == "" || strings.ContainsRune(name, 0) {
		return Stream{}, hintf("null, log, inherit, stdout, PATH or truncate:PATH",
			"%q is not a stream", text)
	}
	if kind == StreamPath && name == "/dev/null" {
		return Stream{Kind: StreamNull}, nil
	}
	return Stream{Kind: kind, Path: name}, nil
}

// String returns what ParseStream reads back; "" for the default.
func (s Stream) String() string {
	switch s.Kind {
	case StreamTruncate:
		return "truncate:" + s.Path
	case StreamPath:
		// The prefix keeps a path apart from the other forms.
		if again, err := ParseStream(s.Path); err != nil || again != s {
			return "append:" + s.Path
		}
		return s.Path
	}
	return string(s.Kind)
}

// MarshalText returns [Stream.String].
func (s Stream) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseStream.
func (s *Stream) UnmarshalText(text []byte) error { return parseInto(s, text, ParseStream) }

// Network is the kind of a [Socket].
type Network string

const (
	NetTCP        Network = "tcp"
	NetUDP        Network = "udp"
	NetUnix       Network = "unix"
	NetUnixgram   Network = "unixgram"
	NetUnixpacket Network = "unixpacket"
	NetFIFO       Network = "fifo"
)

// Address is where a [Socket] listens, "NETWORK:ADDRESS".
type Address struct {
	Network Network
	// Addr is HOST:PORT of tcp and udp, a path of the others; "@" at its
	// beginning is the abstract namespace (unix(7)).
	Addr string
}

// ParseAddress reads the text form.
func ParseAddress(text string) (Address, error) {
	network, addr, _ := strings.Cut(text, ":")
	a := Address{Network(network), addr}
	if err := a.check(); err != nil {
		return Address{}, err
	}
	return a, nil
}

// maxSunPath is the longest path in a sockaddr_un of Linux without its final
// NUL (unix(7)); the BSDs have four less, which bind(2) will tell.
const maxSunPath = 107

func (a Address) check() error {
	switch a.Network {
	case NetTCP, NetUDP:
		_, port, err := splitHostPort(anyInstance(a.Addr))
		if err != nil {
			return err
		}
		if _, err := strconv.Atoi(port); err != nil {
			return hintf("a port is 1 to 65535", "%q is not a port", port)
		}
		return checkPort(port)
	case NetUnix, NetUnixgram, NetUnixpacket:
		if len(a.Addr) > maxSunPath {
			return hintf("", "socket path of %d bytes is longer than %d", len(a.Addr), maxSunPath)
		}
		if a.Addr == "" || a.Addr == "@" {
			return hintf("", "%s: needs a path", a.Network)
		}
	case NetFIFO:
		if a.Addr == "" || a.Addr[0] == '@' {
			return hintf("", "fifo: needs a path")
		}
	default:
		return hintf(
			"tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, unixgram:PATH, unixpacket:PATH or fifo:PATH",
			"%q is not a socket address", a.String(),
		)
	}
	return nil
}

// Path returns the file system path of the address, or "".
func (a Address) Path() string {
	switch a.Network {
	case NetUnix, NetUnixgram, NetUnixpacket, NetFIFO:
		if !strings.HasPrefix(a.Addr, "@") {
			return a.Addr
		}
	}
	return ""
}

// String returns what ParseAddress reads back.
func (a Address) String() string {
	if a == (Address{}) {
		return ""
	}
	return string(a.Network) + ":" + a.Addr
}

// MarshalText returns [Address.String].
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is ParseAddress.
func (a *Address) UnmarshalText(text []byte) error { return parseInto(a, text, ParseAddress) }

// isClean tells whether a path is absolute and without "..", so that it is the
// same file wherever it is used.
func isClean(name string) bool {
	return path.IsAbs(name) && !strings.Contains(name+"/", "/../")
}

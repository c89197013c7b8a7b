package listen

import (
	"context"
	"errors"
	"net"
)

// Set is what was handed to this process, in the order of the descriptors. One
// goroutine uses it at a time; what it gives away is free of it.
type Set struct {
	sockets []*Socket
}

// All returns every descriptor, taken ones too, so that an index means the same
// one always.
func (s *Set) All() []*Socket { return s.sockets }

// Named returns the descriptors with this name that have not been taken. Because
// systemd calls them so where nothing else is said, "web" also means
// "web.socket".
func (s *Set) Named(name string) []*Socket {
	var found []*Socket // nil if there are none
	for _, sock := range s.sockets {
		if sock.file != nil && (sock.Name == name || sock.Name == name+".socket") {
			found = append(found, sock)
		}
	}
	return found
}

// Untaken returns the descriptors that have not been taken.
func (s *Set) Untaken() []*Socket {
	var left []*Socket
	for _, sock := range s.sockets {
		if sock.file != nil {
			left = append(left, sock)
		}
	}
	return left
}

// Listen returns the first untaken socket of the name, which must be a listening
// one, or, if there is none of that name, a new one at the address.
func (s *Set) Listen(name string, at Address) (net.Listener, error) {
	return s.ListenWith(context.Background(), net.ListenConfig{}, name, at)
}

// ListenWith is Listen with the keep-alive of lc and, where the socket is a new one, all else of
// it. See Address.ListenWith and Socket.ListenerWith.
func (s *Set) ListenWith(
	ctx context.Context, lc net.ListenConfig, name string, at Address,
) (net.Listener, error) {
	if found := s.Named(name); len(found) > 0 {
		return found[0].ListenerWith(lc)
	}
	return at.ListenWith(ctx, lc)
}

// ListenPacket is Listen for datagrams.
func (s *Set) ListenPacket(name string, at Address) (net.PacketConn, error) {
	return s.ListenPacketWith(context.Background(), net.ListenConfig{}, name, at)
}

// ListenPacketWith is ListenPacket with the options of lc where the socket is a new one.
func (s *Set) ListenPacketWith(
	ctx context.Context, lc net.ListenConfig, name string, at Address,
) (net.PacketConn, error) {
	if found := s.Named(name); len(found) > 0 {
		return found[0].PacketConn()
	}
	return at.ListenPacketWith(ctx, lc)
}

// Close closes what has not been taken, so that nobody connects to a socket that
// is never read.
func (s *Set) Close() error {
	var errs []error
	for _, sock := range s.sockets {
		errs = append(errs, sock.close())
	}
	return errors.Join(errs...)
}

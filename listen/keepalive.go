package listen

import (
	"errors"
	"net"

	"github.com/daemonry/daemonry/internal/sys"
)

// keepAlive is the keep-alive of accepted connections, nil for that of package net, which is all
// that a listener can have there that is made of a descriptor.
type keepAlive net.KeepAliveConfig

// keepAliveOf is that of a net.ListenConfig, read as package net does it.
func keepAliveOf(lc net.ListenConfig) *keepAlive {
	switch {
	case lc.KeepAliveConfig.Enable:
		return (*keepAlive)(&lc.KeepAliveConfig)
	case lc.KeepAlive < 0:
		return &keepAlive{}
	case lc.KeepAlive > 0:
		return &keepAlive{Enable: true, Idle: lc.KeepAlive}
	}
	return nil
}

// asIn is what it comes to for the connections of a listener that is made of a descriptor. A
// negative value leaves the system's own (net.KeepAliveConfig), which package net has overwritten
// in them; the listening socket still has it, where it can be asked.
func (k *keepAlive) asIn(l net.Listener) (*keepAlive, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok || k == nil || !k.Enable || k.Idle >= 0 && k.Interval >= 0 && k.Count >= 0 {
		return k, nil
	}
	var own sys.KeepAlive
	var err error
	if lost := sys.WithFD(tcp, func(fd int) error {
		own, err = sys.KeepAliveOf(fd)
		return nil
	}); lost != nil {
		return nil, lost
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return k, nil
	}
	known := *k
	if k.Idle < 0 {
		known.Idle = own.Idle
	}
	if k.Interval < 0 {
		known.Interval = own.Interval
	}
	if k.Count < 0 {
		known.Count = own.Count
	}
	return &known, err
}

// of is the listener with that keep-alive.
func (k *keepAlive) of(l net.Listener) net.Listener {
	if tcp, ok := l.(*net.TCPListener); ok && k != nil {
		return &keepAliveListener{tcp, net.KeepAliveConfig(*k)}
	}
	return l
}

type keepAliveListener struct {
	*net.TCPListener
	config net.KeepAliveConfig
}

// Accept is that of net.Listener.
func (l *keepAliveListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP is that of net.TCPListener.
func (l *keepAliveListener) AcceptTCP() (*net.TCPConn, error) {
	c, err := l.TCPListener.AcceptTCP()
	if err != nil {
		return nil, err
	}
	// As in package net, an error is no reason to accept nothing more: the peer may have reset the
	// connection, which the next use of it says.
	if l.config.Enable {
		_ = c.SetKeepAliveConfig(l.config)
	} else {
		_ = c.SetKeepAlive(false)
	}
	return c, nil
}

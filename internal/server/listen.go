package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"
)

// TCP says how to serve over TCP as well. The zero value does not.
type TCP struct {
	// Listen is HOST:PORT. It needs TokenFile or ClientCA, and a certificate
	// unless HOST is a loopback address.
	Listen string
	// TokenFile holds what clients must show as "Authorization: Bearer TOKEN",
	// at least 20 characters. Only we may be able to read it.
	TokenFile string
	// Cert and Key are PEM files.
	Cert, Key string
	// ClientCA is a PEM file: clients must have a certificate that it signed.
	// With a TokenFile too, both are demanded.
	ClientCA string
}

// maxConns bounds the connections to a listener, for descriptors are what
// services need as well. Who comes too late waits until another one goes.
const maxConns = 256

// listenUnix opens the control socket. Whoever calls it holds the lock of the
// directory, so a socket that is there is a dead supervisor's.
func listenUnix(path string, group *int) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		if len(path) > maxSocketPath {
			err = fmt.Errorf("the path has %d bytes, and %d are possible: %w", len(path), maxSocketPath, err)
		}
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// Until here the umask has decided, behind the mode of the directory.
	if err := share(path, group); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return limit(l, maxConns), nil
}

// maxSocketPath is what fits into sun_path with its NUL on Linux (unix(7));
// others have four bytes less.
const maxSocketPath = 107

func share(path string, group *int) error {
	mode := fs.FileMode(0o600)
	if group != nil {
		mode = 0o660
		if err := os.Lchown(path, -1, *group); err != nil {
			return fmt.Errorf("give the control socket to group %d: %w", *group, err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// listenTCP opens the TCP listener and says who may come in.
func listenTCP(o TCP) (net.Listener, gate, error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	var token []byte
	var err error
	if o.TokenFile != "" {
		if token, err = readToken(o.TokenFile); err != nil {
			return nil, nil, err
		}
	}
	config, leaf, err := o.tls()
	if err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("control address: %w", err)
	}
	l = limit(l, maxConns)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return l, tcpGate(token, ownNames(o.Listen, leaf)), nil
}

// check refuses to be open to whoever can reach us.
func (o TCP) check() error {
	switch {
	case o.TokenFile == "" && o.ClientCA == "":
		return fmt.Errorf("control address %s: without a token or client certificates anybody could give orders", o.Listen)
	case (o.Cert == "") != (o.Key == ""):
		return fmt.Errorf("control address %s: a certificate and its key need each other", o.Listen)
	case o.ClientCA != "" && o.Cert == "":
		return fmt.Errorf("control address %s: client certificates need a certificate of our own", o.Listen)
	case o.Cert == "" && !loopback(o.Listen):
		return fmt.Errorf("control address %s: without TLS the token would cross the network in the clear", o.Listen)
	}
	return nil
}

func loopback(listen string) bool {
	addr, err := netip.ParseAddr(hostOf(listen))
	return err == nil && addr.IsLoopback() || hostOf(listen) == "localhost"
}

// tls returns nil without a certificate.
func (o TCP) tls() (*tls.Config, *x509.Certificate, error) {
	if o.Cert == "" {
		return nil, nil, nil
	}
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", o.Cert, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	if o.ClientCA != "" {
		pem, err := os.ReadFile(o.ClientCA)
		if err != nil {
			return nil, nil, fmt.Errorf("authority of client certificates: %w", err)
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, nil, fmt.Errorf("authority of client certificates: %s has no certificate", o.ClientCA)
		}
	}
	return c, cert.Leaf, nil
}

// limited is a listener with at most so many connections at a time.
type limited struct {
	net.Listener
	free   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, free: make(chan struct{}, n), closed: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	release := sync.OnceFunc(func() { <-l.free })
	if u, ok := c.(*net.UnixConn); ok {
		return &unixConn{u, release}, nil
	}
	return &otherConn{c, release}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// unixConn keeps what a Unix socket can besides being a net.Conn: to tell its peer.
type unixConn struct {
	*net.UnixConn
	release func()
}

func (c *unixConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}

type otherConn struct {
	net.Conn
	release func()
}

func (c *otherConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

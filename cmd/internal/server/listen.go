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
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
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

// unnamed is what the control socket is called while nobody is to find it: no longer than its name,
// see maxSocketPath.
const unnamed = "new.sock"

// listenUnnamed opens the control socket under a name that nobody knows, until publish: who cannot
// become the supervisor after all leaves what tells of the last one. Whoever calls it holds the
// lock of the directory, so a socket that is there is a dead supervisor's.
func listenUnnamed(path string, group *int) (*limited, error) {
	at := filepath.Join(filepath.Dir(path), unnamed)
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// Until here the umask has decided, behind the mode of the directory.
	if err := share(at, group); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.SetUnlinkOnClose(false) // its name changes, and may be another's
	limited := limit(l, mostConns(sys.MostDescriptors()))
	limited.at, limited.path = at, path
	return limited, nil
}

// publish gives a control socket its name.
func (l *limited) publish() error {
	if l.path == "" || l.at == l.path {
		return nil
	}
	if err := os.Rename(l.at, l.path); err != nil {
		return fmt.Errorf("remove the old control socket: %w", err)
	}
	l.at = l.path
	return nil
}

// named says whether the control socket's name leads to a socket. Nobody but us can have put
// another one there.
func (l *limited) named() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	fi, err := os.Lstat(l.path)
	return err == nil && fi.Mode().Type() == fs.ModeSocket
}

// replace has connections come from another control socket, which is in n, from now on.
func (l *limited) replace(n *limited) error {
	n.spend()
	l.mu.Lock()
	if l.ended { // by Close, which has removed the name: that is why there is another one
		l.mu.Unlock()
		return n.Close()
	}
	old := l.Listener
	l.Listener, l.at, l.path = n.Listener, n.at, n.path
	var err error
	if l.paused {
		err = l.deadline(time.Unix(1, 0))
	}
	l.mu.Unlock()
	return errors.Join(err, old.Close()) // its Accept ends, and looks at the new one
}

// unname removes the name of a control socket. One that is left refuses, and says that nobody is
// there. l.mu is held.
func (l *limited) unname() {
	if l.at != "" {
		_ = os.Remove(l.at)
	}
}

// Addr is where connections come from now.
func (l *limited) Addr() net.Addr { return l.current().Addr() }

func (l *limited) current() net.Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Listener
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
//
// inherited is one that the program before this one had open at the same address, 0 if there is
// none.
func listenTCP(o TCP, inherited int) (l net.Listener, base *limited, allowed gate, err error) {
	if err := o.check(); err != nil {
		return nil, nil, nil, err
	}
	var token []byte
	if o.TokenFile != "" {
		if token, err = readToken(o.TokenFile); err != nil {
			return nil, nil, nil, err
		}
	}
	config, leaf, err := o.tls()
	if err != nil {
		return nil, nil, nil, err
	}
	if inherited > 0 {
		l, err = inheritedListener(inherited)
	} else {
		l, err = net.Listen("tcp", o.Listen)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("control address: %w", err)
	}
	base = limit(l, mostConns(sys.MostDescriptors()))
	if l = base; config != nil {
		l = tls.NewListener(l, config)
	}
	return l, base, tcpGate(token, ownNames(o.Listen, leaf)), nil
}

// check refuses to be open to whoever can reach us.
func (o TCP) check() error {
	why := ""
	switch {
	case o.TokenFile == "" && o.ClientCA == "":
		why = "without a token or client certificates anybody could give orders"
	case (o.Cert == "") != (o.Key == ""):
		why = "a certificate and its key need each other"
	case o.ClientCA != "" && o.Cert == "":
		why = "client certificates need a certificate of our own"
	case o.Cert == "" && !loopback(o.Listen):
		why = "without TLS the token would cross the network in the clear"
	default:
		return nil
	}
	return fmt.Errorf("control address %s: %s", o.Listen, why)
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
	c := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"http/1.1"},
	}
	if o.ClientCA != "" {
		pem, err := os.ReadFile(o.ClientCA)
		if err != nil {
			return nil, nil, fmt.Errorf("authority of client certificates: %w", err)
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, nil, fmt.Errorf("authority of client certificates: %s has no certificate",
				o.ClientCA)
		}
	}
	return c, cert.Leaf, nil
}

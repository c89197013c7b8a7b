package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
)

// askTCP connects and hangs up.
func askTCP(ctx context.Context, addr string, env Env) error {
	conn, err := dialTCP(ctx, "tcp", addr, env)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dialTCP connects, and takes no stranger for the service.
func dialTCP(ctx context.Context, network, addr string, env Env) (net.Conn, error) {
	// No keep-alive probes on a connection that lives for a moment.
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if err := tcpStranger(conn, false, env); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// errElsewhere ends the asking: what is asked there will not become provable.
var errElsewhere = errors.New("not an address of this machine, so nothing proves that it is the " +
	"daemon who answers there; use cmd:, log: or notify")

// tcpStranger returns an error if it is not proven that the service listens at the other end of
// conn, and, if it must be alone, nobody else with it.
func tcpStranger(conn net.Conn, alone bool, env Env) error {
	remote, local := endpoint(conn.RemoteAddr()), endpoint(conn.LocalAddr())
	// Where nobody listens, a socket that was given the very port that it asks
	// for connects to itself (RFC 9293, 3.5, simultaneous open).
	if remote == local {
		return syscall.ECONNREFUSED
	}
	if env.Owner == nil {
		return nil
	}
	// A machine talks to itself from the address it talks to, or over loopback.
	if !remote.Addr().IsLoopback() && remote.Addr() != local.Addr() {
		return final{fmt.Errorf("%v: %w", remote.Addr(), errElsewhere)}
	}
	if env.Seen.taken {
		return errTaken
	}
	return judgeTCP(remote, alone, env)
}

func endpoint(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// askUnix connects to a socket of whatever type and hangs up.
func askUnix(ctx context.Context, path string, env Env) error {
	var d net.Dialer
	var conn net.Conn
	var err error
	for _, network := range []string{"unix", "unixgram", "unixpacket"} {
		// EPROTOTYPE: the socket is of another type, connect(2).
		if conn, err = d.DialContext(ctx, network, path); !errors.Is(err, syscall.EPROTOTYPE) {
			break
		}
	}
	if err != nil {
		return err
	}
	switch {
	case env.Owner == nil:
	case env.Seen.taken:
		err = errTaken
	default:
		err = judgeUnix(conn.(*net.UnixConn), path, env)
	}
	return errors.Join(err, conn.Close())
}

// redact hides the password of a URL, which messages must not show.
func redact(target string) string {
	if u, err := url.Parse(target); err == nil {
		return u.Redacted()
	}
	return target
}

const (
	maxRedirects = 5
	maxBody      = 64 << 10
)

// askHTTP gets url. The status decides; the body is read only so that the
// server does not see its answer cut off, and only so far.
func askHTTP(ctx context.Context, target string, env Env) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return final{err}
	}
	req.Header.Set("User-Agent", "daemonry-probe")
	var conns []net.Conn // all of the one attempt; each is proven again when the answer is there
	transport := newTransport(env, func(c net.Conn) { conns = append(conns, c) })
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: sameHost}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		if errors.Is(err, io.EOF) {
			return errors.New("hung up without an answer")
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("http %d", resp.StatusCode)
	}
	io.CopyN(io.Discard, resp.Body, maxBody) // an error here does not unsay the status
	for _, conn := range conns {
		if err := tcpStranger(conn, true, env); err != nil {
			return err
		}
	}
	return nil
}

// newTransport makes a transport for one attempt: no connection is kept, and
// no proxy asked, for a health check must reach the service itself.
func newTransport(env Env, made func(net.Conn)) *http.Transport {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialTCP(ctx, network, addr, env)
		if err == nil {
			made(conn)
		}
		return conn, err
	}
	return &http.Transport{
		Proxy:                  nil,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxBody,
		DialContext:            dial,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return handshake(ctx, conn, addr)
		},
	}
}

// handshake begins TLS. On loopback the certificate is not verified: nobody
// stands between, and certificates name public hosts, not 127.0.0.1.
func handshake(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := tls.Client(conn, &tls.Config{
		ServerName:         host,
		InsecureSkipVerify: endpoint(conn.RemoteAddr()).Addr().IsLoopback(),
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// sameHost follows a redirect only within the host that was asked: what another
// host answers says nothing about this service.
func sameHost(req *http.Request, via []*http.Request) error {
	if to, from := req.URL.Hostname(), via[0].URL.Hostname(); to != from {
		return fmt.Errorf("redirected to another host, %s", to)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

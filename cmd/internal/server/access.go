package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
)

// gate says whether a request may be answered.
type gate func(r *http.Request) error

// connKey is where a connection's peer is in the context of its requests.
type connKey struct{}

// peer is what the kernel says of who connected.
type peer struct {
	sys.Peer
	err   error
	letIn func() // its connection keeps its place from now on
}

// withPeer is for http.Server.ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	var p peer
	if conn, ok := c.(syscall.Conn); ok {
		p.Peer, p.err = sys.PeerOf(conn)
	} else {
		p.err = fmt.Errorf("a %T has no peer credentials", c)
	}
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	p.letIn = func() {}
	if g, ok := c.(interface{ letIn() }); ok {
		p.letIn = g.letIn
	}
	return context.WithValue(ctx, connKey{}, p)
}

// peerGate lets in root, the owner, and the group if there is one. The mode of
// the socket's directory says the same; this holds even if somebody changed that.
func peerGate(owner int, group *int) gate {
	return func(r *http.Request) error {
		p, ok := r.Context().Value(connKey{}).(peer)
		if !ok {
			return forbidden("nobody knows who asks")
		}
		switch {
		case p.err != nil:
			return forbidden("nobody knows who asks: %v", p.err)
		case p.UID == 0, p.UID == owner:
			return nil
		case group != nil && (p.GID == *group || slices.Contains(p.Groups, *group)):
			return nil
		}
		return forbidden("user %d may not use this supervisor", p.UID)
	}
}

func forbidden(format string, args ...any) error {
	return failed(control.Forbidden, "", format, args...)
}

// tcpGate lets in who shows the token, if there is one; certificates have been
// looked at before. A page in a browser on this machine can connect too, so
// requests that a foreign page can cause are refused: by their Origin, and, against a name
// that has been pointed at us (DNS rebinding), by their Host.
func tcpGate(token []byte, names func(host string) bool) gate {
	want := sha256.Sum256(token)
	foreign := http.NewCrossOriginProtection()
	return func(r *http.Request) error {
		if host := hostOf(r.Host); !names(host) {
			return forbidden("host %q is not a name of this supervisor", host)
		}
		if r.Header.Get("Origin") != "" {
			return forbidden("a web page may not use the supervisor")
		}
		if err := foreign.Check(r); err != nil {
			return forbidden("%s", err)
		}
		if token == nil {
			return nil
		}
		shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		// Of the hashes, so that not even the length of the token shows in the time.
		have := sha256.Sum256([]byte(shown))
		if !ok || subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
			return failed(control.Unauthorized, "send Authorization: Bearer TOKEN",
				"the token is missing or wrong")
		}
		return nil
	}
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// ownNames returns what a Host header may say: an address, which no DNS can
// point elsewhere; localhost; the host we were told to listen on; and what the
// certificate is for.
func ownNames(listen string, cert *x509.Certificate) func(host string) bool {
	configured := hostOf(listen)
	return func(host string) bool {
		if _, err := netip.ParseAddr(host); err == nil {
			return true
		}
		if strings.EqualFold(host, "localhost") ||
			host != "" && strings.EqualFold(host, configured) {
			return true
		}
		return cert != nil && cert.VerifyHostname(host) == nil
	}
}

// minToken is the least length of a token: 16 random bytes in base64 have 22.
const minToken = 20

// maxToken is more of a file than anybody's token takes.
const maxToken = 64 << 10

// readToken reads a token that nobody else can read.
func readToken(path string) ([]byte, error) {
	f, _, err := sys.OpenTrusted(path, sys.TrustedOpen{Regular: true})
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("token file %s: mode %#o lets others read it; make it 0600",
			path, fi.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken {
		return nil, fmt.Errorf("token file %s: the token has fewer than 20 characters; "+
			"try: openssl rand -base64 32", path)
	}
	return []byte(token), nil
}

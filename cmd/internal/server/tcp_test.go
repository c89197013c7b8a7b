package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
)

const testToken = "a-token-of-more-than-20-characters"

// certificates makes an authority and certificates of a server and a client in dir.
func certificates(t *testing.T, dir string) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"},
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := writeCert(t, dir, "ca", authority, authority, nil)
	writeCert(t, dir, "server", &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
		DNSNames:    []string{"machine.example"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, caKey)
	writeCert(t, dir, "client", &x509.Certificate{
		SerialNumber: big.NewInt(3), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, caKey)
}

func writeCert(
	t *testing.T, dir, name string, cert, parent *x509.Certificate, signer *ecdsa.PrivateKey,
) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		err := os.WriteFile(filepath.Join(dir, name+file), pem.EncodeToMemory(block), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	return key
}

// serveTCP serves a fake engine and returns where.
func serveTCP(t *testing.T, o TCP) string {
	t.Helper()
	l, _, allowed, err := listenTCP(o, 0)
	if err != nil {
		t.Fatal(err)
	}
	a := Options{}.api(&fakeEngine{}, func() {}, nil)
	s := newServer(newHandler(a, allowed), func(error) {}) // failed handshakes are the point
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func tokenFile(t *testing.T, dir string, mode os.FileMode, token string) string {
	t.Helper()
	path := filepath.Join(dir, "token")
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(token+"\n"), mode),
		os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToken(t *testing.T) {
	proctest.CheckLeaks(t)
	address := serveTCP(t,
		TCP{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, t.TempDir(), 0o600, testToken)})
	for token, want := range map[string]error{
		testToken: nil, "": control.Unauthorized, testToken + "x": control.Unauthorized,
		testToken[1:]: control.Unauthorized,
	} {
		c := &control.Client{Address: address, Token: token}
		_, err := c.Supervisor(t.Context())
		if !errors.Is(err, want) {
			t.Errorf("token %q: %v, want %v", token, err, want)
		}
		c.Close()
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host, origin, site string
		status             int
	}{
		{address, "", "", 200},
		{"localhost:" + port, "", "", 200},
		{"[::1]:" + port, "", "", 200},
		{"evil.example:" + port, "", "", 403},
		{"127.0.0.1.evil.example", "", "", 403},
		{address, "http://evil.example", "", 403},
		{address, "http://" + address, "", 403},
		{address, "", "cross-site", 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST",
			"http://"+address+"/v1/services/stop", strings.NewReader(`{"all": true}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = tt.host, true
		req.Header.Set("Authorization", "Bearer "+testToken)
		if tt.origin != "" {
			req.Header.Set("Origin", tt.origin)
		}
		if tt.site != "" {
			req.Header.Set("Sec-Fetch-Site", tt.site)
		}
		resp, err := new(http.Transport).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != tt.status {
			t.Errorf("%+v: status %d", tt, resp.StatusCode)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	certificates(t, dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	address := serveTCP(t, TCP{
		Listen: "127.0.0.1:0", Cert: file("server.crt"), Key: file("server.key"),
		ClientCA: file("ca.crt"), TokenFile: tokenFile(t, dir, 0o600, testToken),
	})
	authority, err := os.ReadFile(file("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	own, err := tls.LoadX509KeyPair(file("client.crt"), file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := tls.LoadX509KeyPair(file("server.crt"), file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string, certs ...tls.Certificate) error {
		c := &control.Client{
			Address: address,
			Token:   token,
			TLS:     &tls.Config{RootCAs: roots, Certificates: certs},
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := c.Supervisor(ctx)
		return err
	}
	if err := ask(testToken, own); err != nil {
		t.Errorf("certificate and token: %v", err)
	}
	if err := ask("", own); !errors.Is(err, control.Unauthorized) {
		t.Errorf("a certificate alone: %v", err)
	}
	var e *control.Error
	if err := ask(testToken); err == nil || errors.As(err, &e) {
		t.Errorf("a token alone: %v", err)
	}
	if err := ask(testToken, wrong); err == nil || errors.As(err, &e) {
		t.Errorf("a certificate for something else: %v", err)
	}
}

func TestOpenToNobody(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir)
	for _, tt := range []struct {
		o    TCP
		want string
	}{
		{TCP{Listen: "127.0.0.1:0"}, "anybody could give orders"},
		{TCP{Listen: "0.0.0.0:0", TokenFile: "x"}, "in the clear"},
		{TCP{Listen: ":0", TokenFile: "x"}, "in the clear"},
		{TCP{Listen: "127.0.0.1:0", TokenFile: "x", Cert: "x"}, "need each other"},
		{TCP{Listen: "127.0.0.1:0", ClientCA: "x"}, "certificate of our own"},
		{TCP{Listen: "127.0.0.1:0", TokenFile: filepath.Join(dir, "none")}, "no such file"},
		{TCP{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, t.TempDir(), 0o640, testToken)},
			"lets others read it"},
		{TCP{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, t.TempDir(), 0o600, "secret")},
			"fewer than 20"},
		{
			TCP{Listen: "127.0.0.1:0", ClientCA: filepath.Join(dir, "ca.key"),
				Cert: filepath.Join(dir, "server.crt"), Key: filepath.Join(dir, "server.key")},
			"has no certificate",
		},
	} {
		l, _, _, err := listenTCP(tt.o, 0)
		if err == nil {
			err = errors.Join(errors.New("it is open"), l.Close())
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want …%s…", tt.o, err, tt.want)
		}
	}
}

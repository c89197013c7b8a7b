package target

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 11, 21, 2, 48, 30, 123456000, time.UTC)

var records = []Record{
	{Service: "web", Stream: line.Out, Time: at, Text: []byte("hello")},
	{Service: "web 1", Stream: line.Err, Time: at, Text: []byte("NUL \x00 and \xff\nnewline")},
	{Service: "web", Stream: line.Log, Time: at,
		Text: bytes.Repeat([]byte("long"), 3000), More: true},
	{Service: "web", Stream: line.Out, Time: at},
}

// messages are what a syslog server must see of records. HOST stands for the host's name.
var messages = []string{
	"<30>1 2026-11-21T02:48:30.123456Z HOST web - out - hello",
	"<27>1 2026-11-21T02:48:30.123456Z HOST web_1 - err - NUL \x00 and \xff\nnewline",
	"<28>1 2026-11-21T02:48:30.123456Z HOST web - log - " + strings.Repeat("long", 2000),
	"<28>1 2026-11-21T02:48:30.123456Z HOST web - log - " + strings.Repeat("long", 1000),
	"<30>1 2026-11-21T02:48:30.123456Z HOST web - out - ",
}

var hostField = regexp.MustCompile(`^(<\d+>1 \S+) \S+`)

func checkMessages(t *testing.T, next func() (string, error)) {
	t.Helper()
	for i, want := range messages {
		got, err := next()
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if got = hostField.ReplaceAllString(got, "$1 HOST"); got != want {
			t.Errorf("message %d: %.300q, want %.300q", i, got, want)
		}
	}
}

func send(t *testing.T, d Dest, r []Record) {
	t.Helper()
	if n, err := d.Send(r); n != len(r) || err != nil {
		t.Fatalf("Send = %d, %v", n, err)
	}
}

func TestSyslogDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	unix, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for network, l := range map[string]net.PacketConn{"unix": unix, "udp": udp} {
		d, err := NewSyslog(Syslog{
			Network:  network,
			Addr:     l.LocalAddr().String(),
			Facility: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		send(t, d, records)
		l.SetReadDeadline(time.Now().Add(time.Minute))
		buf := make([]byte, 64<<10)
		checkMessages(t, func() (string, error) {
			n, _, err := l.ReadFrom(buf)
			return string(buf[:n]), err
		})
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		l.Close()
	}
}

// readFrame reads a message framed by its length.
func readFrame(r *bufio.Reader) (string, error) {
	n, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	size, err := strconv.Atoi(strings.TrimSuffix(n, " "))
	if err != nil {
		return "", fmt.Errorf("length %q: %w", n, err)
	}
	b := make([]byte, size)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

func TestSyslogStreams(t *testing.T) {
	cert, roots := certificate(t)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	for network, l := range map[string]net.Listener{"tcp": plain, "tls": secure, "unix": unix} {
		t.Run(network, func(t *testing.T) {
			defer l.Close()
			d, err := NewSyslog(Syslog{
				Network:  network,
				Addr:     l.Addr().String(),
				Facility: 3,
				TLS:      &tls.Config{RootCAs: roots},
			})
			if err != nil {
				t.Fatal(err)
			}
			accepted := make(chan net.Conn, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
				} else if tc, ok := c.(*tls.Conn); ok {
					tc.Handshake()
				}
				accepted <- c
			}()
			send(t, d, records)
			c := <-accepted
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(time.Minute))
			r := bufio.NewReader(c)
			checkMessages(t, func() (string, error) { return readFrame(r) })

			// The server goes away and comes back: that it has closed is noticed without writing.
			c.Close()
			sys := d.(*syslog)
			for deadline := time.Now().Add(time.Minute); !sys.lost.Load(); {
				if time.Now().After(deadline) {
					t.Fatal("the end of the connection is not seen")
				}
				time.Sleep(time.Millisecond)
			}
			go func() {
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
				} else if tc, ok := c.(*tls.Conn); ok {
					tc.Handshake()
				}
				accepted <- c
			}()
			send(t, d, records)
			c = <-accepted
			defer c.Close()
			r = bufio.NewReader(c)
			checkMessages(t, func() (string, error) { return readFrame(r) })
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// certificate makes a certificate for 127.0.0.1 and the authorities that vouch for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestSyslogRefusesAStrangersCertificate(t *testing.T) {
	cert, _ := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	d, err := NewSyslog(Syslog{Network: "tls", Addr: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Send(records); n != 0 || err == nil {
		t.Errorf("Send = %d, %v", n, err)
	}
}

func TestSyslogErrors(t *testing.T) {
	for _, c := range []Syslog{{Network: "ip"}, {Facility: 24}, {Facility: -1}} {
		if _, err := NewSyslog(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	d, err := NewSyslog(Syslog{Network: "unix", Addr: filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Send(records); n != 0 || err == nil {
		t.Errorf("without a server: Send = %d, %v", n, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// fields reads a datagram of the journal's native protocol as systemd documents it.
func fields(t *testing.T, p []byte) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for len(p) > 0 {
		l, rest, ok := bytes.Cut(p, []byte{'\n'})
		if !ok {
			t.Fatalf("unfinished line %q", p)
		}
		if k, v, ok := bytes.Cut(l, []byte{'='}); ok {
			m[string(k)], p = string(v), rest
			continue
		}
		n := binary.LittleEndian.Uint64(rest)
		m[string(l)] = string(rest[8 : 8+n])
		if rest[8+n] != '\n' {
			t.Fatalf("no newline after %s", l)
		}
		p = rest[8+n+1:]
	}
	return m
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := NewJournal(path)
	send(t, d, records)
	priority := map[line.Stream]string{line.Out: "6", line.Err: "3", line.Log: "4"}
	buf := make([]byte, 64<<10)
	l.SetReadDeadline(time.Now().Add(time.Minute))
	for _, r := range records {
		n, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got := fields(t, buf[:n])
		if got["MESSAGE"] != string(r.Text) || got["PRIORITY"] != priority[r.Stream] ||
			got["SYSLOG_IDENTIFIER"] != r.Service ||
			got["DAEMONRY_SERVICE"] != r.Service || got["DAEMONRY_STREAM"] != r.Stream.String() ||
			(got["DAEMONRY_PARTIAL"] == "1") != r.More {
			t.Errorf("%+v arrived as %q", r, got)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestConsole(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "tty"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := NewConsole(Console{File: f, Width: 6})
	text := func(s string) []byte { return []byte(s) }
	send(t, d, []Record{
		{Service: "web", Text: text("one")},
		{Service: "db", Text: text("wor"), More: true},
		{Service: "db", Text: text("king"), More: true},
		{Service: "web", Text: text("two")},
		{Service: "db", Text: text("done")},
	})
	if got, _ := os.ReadFile(f.Name()); string(got) != "web    | one\ndb     | working\n"+
		"web    | two\ndb     | done\n" {
		t.Errorf("%q", got)
	}
	f.Truncate(0)
	f.Seek(0, io.SeekStart)
	d = NewConsole(Console{File: f, Color: true})
	send(t, d, []Record{{Service: "web", Text: text("one")}})
	coloured := regexp.MustCompile("^\x1b\\[\\d+mweb \\| \x1b\\[0mone\n$")
	if got, _ := os.ReadFile(f.Name()); !coloured.Match(got) {
		t.Errorf("in colour: %q", got)
	}
	f.Truncate(0)
	f.Seek(0, io.SeekStart)
	send(t, NewConsole(Console{File: f, Bare: true}), []Record{{Service: "web", Text: text("one")}})
	if got, _ := os.ReadFile(f.Name()); string(got) != "one\n" {
		t.Errorf("bare: %q", got)
	}
}

package target

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

// Syslog says how to reach a syslog server and what to tell it.
type Syslog struct {
	// Network is "unix" (Addr is a socket's path), "udp", "tcp" or "tls" (Addr is HOST:PORT).
	// Empty: the local socket /dev/log.
	Network, Addr string
	// Facility by number (RFC 5424, table 1).
	Facility int
	// TLS for "tls"; nil checks the server's certificate for the name in Addr against the system's
	// authorities.
	TLS *tls.Config
}

// localSyslog is where local programs find their syslog server, against RFC 5424, which leaves it
// open.
const localSyslog = "/dev/log"

// messageMax is the longest text in one message; longer lines take several. Common servers
// cut messages at 8 KiB.
const messageMax = 8000

type syslog struct {
	cfg    Syslog
	host   string
	stream bool // messages are framed by their length (RFC 6587, 3.4.1; RFC 5425, 4.3)
	conn   net.Conn
	lost   *atomic.Bool // the server has closed conn
	buf    []byte
}

// NewSyslog returns a destination that speaks RFC 5424. It connects when the first line comes.
func NewSyslog(cfg Syslog) (Dest, error) {
	switch cfg.Network {
	case "":
		cfg.Network, cfg.Addr = "unix", localSyslog
	case "unix", "udp", "tcp", "tls":
	default:
		return nil, fmt.Errorf("syslog: unknown network %q", cfg.Network)
	}
	if cfg.Facility < 0 || cfg.Facility > 23 {
		return nil, fmt.Errorf("syslog: no facility %d", cfg.Facility)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "-"
	}
	return &syslog{cfg: cfg, host: header(host, 255)}, nil
}

// header makes s fit for a field of the header: visible ASCII, at most max bytes, "-" for nothing.
func header(s string, max int) string {
	b := []byte(s[:min(len(s), max)])
	for i, c := range b {
		if c < 33 || c > 126 {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

func (d *syslog) connect() error {
	dialer := &net.Dialer{Timeout: dialTimeout}
	var err error
	switch d.cfg.Network {
	case "unix":
		// A datagram socket by tradition; some servers have a stream.
		d.conn, err = dialer.Dial("unixgram", d.cfg.Addr)
		if d.stream = err != nil; d.stream {
			d.conn, err = dialer.Dial("unix", d.cfg.Addr)
		}
	case "tls":
		d.conn, err = tls.DialWithDialer(dialer, "tcp", d.cfg.Addr, d.cfg.TLS)
		d.stream = true
	default:
		d.conn, err = dialer.Dial(d.cfg.Network, d.cfg.Addr)
		d.stream = d.cfg.Network == "tcp"
	}
	if err != nil {
		d.conn = nil
		return err
	}
	d.lost = new(atomic.Bool)
	if d.stream {
		go watch(d.conn, d.lost)
	}
	return nil
}

// watch sees the server close the connection: syslog is never answered, and the first
// write after the close would seem to succeed.
func watch(c net.Conn, lost *atomic.Bool) {
	io.Copy(io.Discard, c) // ends with any error, and with our own close
	lost.Store(true)
}

var errClosedByServer = errors.New("connection closed by the server")

func (d *syslog) Send(records []Record) (int, error) {
	if d.conn != nil && d.lost.Load() {
		d.drop()
	}
	if d.conn == nil {
		if err := d.connect(); err != nil {
			return 0, fmt.Errorf("syslog: %w", err)
		}
	}
	d.buf = d.buf[:0]
	flushed := 0
	for i, r := range records {
		if err := d.message(r); err != nil {
			d.drop()
			return flushed, fmt.Errorf("syslog: %w", err)
		}
		if !d.stream || len(d.buf) >= 64<<10 || i == len(records)-1 {
			if err := d.flush(); err != nil {
				d.drop()
				return flushed, fmt.Errorf("syslog: %w", err)
			}
			flushed = i + 1
		}
	}
	return flushed, nil
}

func (d *syslog) flush() error {
	if len(d.buf) == 0 {
		return nil
	}
	if d.lost.Load() {
		return errClosedByServer
	}
	d.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err := d.conn.Write(d.buf)
	d.buf = d.buf[:0]
	return err
}

// message sends the record in as many messages as it takes; on a stream, it only queues them.
func (d *syslog) message(r Record) error {
	text := r.Text
	for first := true; first || len(text) > 0; first = false {
		part := text[:min(len(text), messageMax)]
		text = text[len(part):]
		if !d.stream {
			d.buf = d.format(d.buf[:0], r, part)
			if err := d.flush(); err != nil {
				return err
			}
			continue
		}
		start := len(d.buf)
		d.buf = d.format(d.buf, r, part)
		n := strconv.Itoa(len(d.buf) - start)
		d.buf = append(d.buf, n...) // make room, then move the message behind its length
		d.buf = append(d.buf, ' ')
		copy(d.buf[start+len(n)+1:], d.buf[start:len(d.buf)-len(n)-1])
		copy(d.buf[start:], n)
		d.buf[start+len(n)] = ' '
	}
	return nil
}

// format appends RFC 5424's HEADER, no STRUCTURED-DATA, and MSG, which may be any bytes (section
// 6.4).
func (d *syslog) format(dst []byte, r Record, part []byte) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(d.cfg.Facility*8+severity(r.Stream)), 10)
	dst = append(dst, ">1 "...)
	dst = r.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(append(append(dst, ' '), d.host...), ' ')
	dst = append(dst, header(r.Service, 48)...)
	dst = append(dst, " - "...)
	dst = append(dst, r.Stream.String()...)
	dst = append(dst, " - "...)
	return append(dst, part...)
}

// severity: informational, for standard error "error", for our own words "warning".
func severity(s line.Stream) int {
	switch s {
	case line.Err:
		return 3
	case line.Log:
		return 4
	}
	return 6
}

func (d *syslog) drop() {
	d.conn.Close()
	d.conn = nil
}

func (d *syslog) Close() error {
	if d.conn == nil {
		return nil
	}
	return d.conn.Close()
}

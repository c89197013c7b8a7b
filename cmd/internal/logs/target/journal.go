package target

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"time"
)

// journalSocket is documented in systemd's "Native Journal Protocol".
const journalSocket = "/run/systemd/journal/socket"

type journal struct {
	path string
	conn *net.UnixConn
	buf  []byte
}

// NewJournal returns a destination that speaks the journal's native protocol. Beside MESSAGE and
// PRIORITY each entry has SYSLOG_IDENTIFIER and DAEMONRY_SERVICE (the service's name),
// DAEMONRY_STREAM (out, err or log), and DAEMONRY_PARTIAL=1 if the line goes on in the next entry.
// path is the journal's socket; empty means where systemd has it.
func NewJournal(path string) Dest {
	return &journal{path: cmp.Or(path, journalSocket)}
}

func (d *journal) Send(records []Record) (int, error) {
	if d.conn == nil {
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: d.path, Net: "unixgram"})
		if err != nil {
			return 0, fmt.Errorf("journal: %w", err)
		}
		// Best effort: an entry must fit, and ours do in the kernel's default.
		c.SetWriteBuffer(8 << 20)
		d.conn = c
	}
	for i, r := range records {
		d.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
		d.buf = entry(d.buf[:0], r)
		if _, err := d.conn.Write(d.buf); err != nil {
			d.conn.Close()
			d.conn = nil
			return i, fmt.Errorf("journal: %w", err)
		}
	}
	return len(records), nil
}

// entry appends the datagram for r. MESSAGE goes in the form with a length, which any bytes fit.
func entry(dst []byte, r Record) []byte {
	dst = append(dst, "MESSAGE\n"...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(r.Text)))
	dst = append(dst, r.Text...)
	dst = append(dst, "\nPRIORITY="...)
	dst = strconv.AppendInt(dst, int64(severity(r.Stream)), 10)
	for _, f := range [...]string{"\nSYSLOG_IDENTIFIER=", "\nDAEMONRY_SERVICE="} {
		dst = append(append(dst, f...), r.Service...)
	}
	dst = append(append(dst, "\nDAEMONRY_STREAM="...), r.Stream.String()...)
	if r.More {
		dst = append(dst, "\nDAEMONRY_PARTIAL=1"...)
	}
	return append(dst, '\n')
}

func (d *journal) Close() error {
	if d.conn == nil {
		return nil
	}
	return d.conn.Close()
}

// Package target delivers lines of output to places that are not files: syslog, the journal, a
// terminal, a program.
//
// A Dest is used by one goroutine. It may take its time, up to a time-out of its own for
// each Send; who calls it keeps lines waiting elsewhere.
package target

import (
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

// Record is one line, or a piece of one, of one service.
type Record struct {
	Service string
	Stream  line.Stream
	Time    time.Time
	Text    []byte // without the newline
	More    bool   // the next record of the same service and stream goes on with the line
}

// Dest is a destination. Send delivers the records in order and returns how many of them need not
// be sent again; fewer than all comes with an error. After an error the next Send connects anew.
type Dest interface {
	Send(records []Record) (int, error)
	Close() error
}

// How long a connection may take to be made, and a message to be taken.
const (
	dialTimeout = 5 * time.Second
	sendTimeout = 5 * time.Second
)

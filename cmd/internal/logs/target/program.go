package target

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// StartFunc starts a program with the given standard input and returns a channel that is closed
// when it has ended.
type StartFunc func(stdin *os.File) (exited <-chan struct{}, err error)

// restartAfter is the least time between two starts of a program.
const restartAfter = time.Second

type program struct {
	start   StartFunc
	wake    func()
	r, w    *os.File
	exited  <-chan struct{}
	started time.Time
	rest    []byte // of what was taken over, what the pipe did not take yet
}

// NewProgram returns a destination that pipes lines into a program. The program is started with the
// first line and again whenever it has ended and there are lines for it. Both ends of the pipe stay
// open here, so what it left unread is read by its successor; what it had read when it ended is its
// own affair. wake is called, from any goroutine, when the program has ended: Send, without
// records, sees to what is left in the pipe.
func NewProgram(start StartFunc, wake func()) Dest { return &program{start: start, wake: wake} }

func (d *program) Send(records []Record) (int, error) {
	if len(records) == 0 && !d.pending() {
		return 0, nil
	}
	if err := d.alive(); err != nil {
		return 0, err
	}
	if err := d.flush(); err != nil {
		return 0, err
	}
	for _, r := range records {
		d.rest = append(d.rest, r.Text...)
		if !r.More {
			d.rest = append(d.rest, '\n')
		}
	}
	return len(records), d.flush() // taken over, written or not
}

// pending says whether there is anything for a program to read.
func (d *program) pending() bool {
	if d.r == nil {
		return false
	}
	n, err := sys.PipeFill(int(d.r.Fd()))
	return len(d.rest) > 0 || n > 0 || err != nil
}

// alive starts the program unless it runs.
func (d *program) alive() error {
	if d.exited != nil {
		select {
		case <-d.exited:
		default:
			return nil
		}
	}
	if wait := restartAfter - time.Since(d.started); !d.started.IsZero() && wait > 0 {
		return errors.New("the program ended at once")
	}
	if d.r == nil {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		r.Fd() // makes its end blocking, which is what a program expects of its standard input
		d.r, d.w = r, w
	}
	d.started = time.Now()
	exited, err := d.start(d.r)
	if err != nil {
		return fmt.Errorf("start the program: %w", err)
	}
	d.exited = exited
	go func() {
		<-exited
		d.wake()
	}()
	return nil
}

func (d *program) flush() error {
	if len(d.rest) == 0 {
		return nil
	}
	d.w.SetWriteDeadline(time.Now().Add(sendTimeout))
	n, err := d.w.Write(d.rest)
	d.rest = append(d.rest[:0], d.rest[n:]...)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the program does not read")
	}
	return err
}

// Close ends the program's input.
func (d *program) Close() error {
	if d.r == nil {
		return nil
	}
	return errors.Join(d.r.Close(), d.w.Close())
}

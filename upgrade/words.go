package upgrade

import (
	"os"
	"sync"
	"time"

	"github.com/daemonry/daemonry/internal/lastwords"
	"github.com/daemonry/daemonry/internal/sys"
)

// words is the standard error of a new process until that has taken over: a pipe, so that its last
// words are known, from which this process copies to its own standard error. Then the new process
// exchanges the descriptor and reads what is left itself: nothing is lost, nothing is out of order,
// and no child that it started before is left writing into a pipe that nobody reads.
type words struct {
	in   *os.File // the writing end, the new process's; closed here after its start
	out  *os.File // the reading end, a copy to hand over
	read *os.File // the reading end, ours

	done chan struct{} // closed when we do not read any more
	once sync.Once
	said lastwords.Words // the reader's until done
}

func newWords() (*words, error) {
	w := &words{done: make(chan struct{})}
	var err error
	if w.read, w.in, err = os.Pipe(); err != nil {
		return nil, err
	}
	// Non-blocking as it is, so that our reading can be ended; os.File.Fd would change that.
	err = sys.WithFD(w.read, func(fd int) error {
		n, err := sys.DupAbove(fd, 3)
		if err == nil {
			w.out = os.NewFile(uintptr(n), fileWords)
		}
		return err
	})
	if err != nil {
		w.read.Close()
		w.in.Close()
		return nil, err
	}
	return w, nil
}

// follow begins to copy, in the process whose child now has the writing end.
func (w *words) follow() {
	w.in.Close()
	w.out.Close()
	go func() {
		defer close(w.done)
		buf := make([]byte, 32<<10)
		for {
			n, err := w.read.Read(buf)
			w.take(buf[:n])
			if err != nil {
				return
			}
		}
	}()
}

// take keeps and passes on what was read.
func (w *words) take(b []byte) {
	_, _ = w.said.Write(b) // it does not fail
	// Nobody could be told of an error here but the reader of standard error.
	_, _ = os.Stderr.Write(b)
}

// abandon is for a process that was never started.
func (w *words) abandon() {
	close(w.done)
	w.in.Close()
	w.out.Close()
	w.read.Close()
}

// leave stops reading; what comes from now on waits for whoever reads next.
func (w *words) leave() { w.end(func() {}) }

// finish reads what a dead process has left. It is all in the pipe. That the pipe ends is not
// waited for: a child of the process that lives on would keep it from that.
func (w *words) finish() { w.end(w.drain) }

func (w *words) end(last func()) {
	w.once.Do(func() {
		_ = w.read.SetReadDeadline(time.Unix(1, 0)) // fails for a closed file only
		<-w.done
		last()
		w.read.Close()
	})
}

// mostPipe is the most that a pipe holds of an ordinary user's (fs.pipe-max-size, pipe(7)).
const mostPipe = 1 << 20

// drain takes in what is in the pipe now. After a deadline package os would not even look.
func (w *words) drain() {
	_ = sys.WithFD(w.read, func(fd int) error { // an error: closed, which nobody else does
		buf := make([]byte, 32<<10)
		for left := mostPipe; left > 0; { // a child may go on writing
			n, err := sys.ReadFD(fd, buf)
			if n == 0 || err != nil {
				return nil // the end, or EAGAIN: empty
			}
			w.take(buf[:n])
			left -= n
		}
		return nil
	})
}

// last returns the last lines, after finish or leave.
func (w *words) last() string {
	<-w.done
	return w.said.Text()
}

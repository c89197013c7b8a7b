package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// note is what a process tells its successor about the descriptors it hands over. The two are
// different binaries: fields may be added, and an absent one must mean what was so before it was
// there.
type note struct {
	Version int          `json:"version"`
	PID     int          `json:"pid"`     // of who hands over
	Program string       `json:"program"` // see Options.Program
	PIDFile string       `json:"pidfile"`
	Files   []string     `json:"files"` // what each of the files is, in order: the constants below
	Sockets []socketNote `json:"sockets"`
}

// socketNote is what a socket was opened as, which the socket itself does not tell: ":0" became a
// port.
type socketNote struct {
	Name    string `json:"name"`
	Network string `json:"network"`
	Address []byte `json:"address"` // a path may be any bytes
}

const (
	filePID = "pidfile"
	// the predecessor's standard error
	fileStderr = "stderr"
	// the reading end of what is the successor's standard error until it has taken over
	fileWords = "words"
	// a channel to the process that waits, see Options.KeepPID
	fileWaiter = "waiter"
)

// The messages between the two. The first byte says what it is, text may follow.
const (
	sayHello = 'H' // new to old: New was called
	sayReady = 'R' // new to old: Ready was called; the same byte as of package daemonry
	// new to old: it will not; a status as of encoding/binary.Varint and the text, as of package
	// daemonry
	sayFailed = 'F'
	sayGo     = 'G' // old to new: take over
	sayTook   = 'T' // new to old: done
)

// heritage is what this process was given by the one that started it.
type heritage struct {
	predecessor *spawn.Born // nil: there is none
	note        note
	files       map[string]*os.File
	waiter      *os.File // nil: none waits
	alone       chan struct{}
}

func readHeritage(born *spawn.Born) (*heritage, error) {
	h := &heritage{files: map[string]*os.File{}, alone: make(chan struct{})}
	if born == nil || !born.Successor {
		close(h.alone)
		return h, nil
	}
	data, files, found := born.Handover(handoverName)
	if !found {
		return nil, errors.New("the predecessor did not say what it hands over")
	}
	if err := json.Unmarshal(data, &h.note); err != nil {
		return nil, fmt.Errorf("read what the predecessor hands over: %w", err)
	}
	if len(files) != len(h.note.Files) {
		return nil, fmt.Errorf("%d files from the predecessor, %d announced",
			len(files), len(h.note.Files))
	}
	for i, what := range h.note.Files {
		h.files[what] = files[i]
	}
	if f := h.files[fileWaiter]; f != nil {
		if err := h.watchWaiter(f); err != nil {
			return nil, fmt.Errorf("watch the process that waits: %w", err)
		}
	}
	if h.files[fileWords] != nil {
		h.predecessor = born
	} else { // started by the waiter
		close(h.alone)
	}
	return h, nil
}

// watchWaiter has this process end when the waiter is gone: it would be one that nobody knows of,
// with the port in its hands.
func (h *heritage) watchWaiter(f *os.File) error {
	fd := -1
	err := sys.WithFD(f, func(n int) (err error) {
		if err = sys.SetNonblock(n, true); err == nil {
			fd, err = sys.DupAbove(n, 3)
		}
		return err
	})
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Now that it is non-blocking, the poller waits, and no thread.
	h.waiter = os.NewFile(uintptr(fd), fileWaiter)
	h.files[fileWaiter] = h.waiter
	go func() {
		// It never writes. Its end is the end of the file, or ECONNRESET if it has not read all
		// that it was told.
		_, _ = h.waiter.Read(make([]byte, 1))
		// One may always signal oneself.
		_ = sys.Kill(os.Getpid(), sys.SIGTERM)
	}()
	return nil
}

// greet tells the predecessor that the new program knows this package.
func (h *heritage) greet() error {
	if h.predecessor == nil {
		return nil
	}
	// Else two would serve: a predecessor that has lost sight of this process, because the one
	// between the two was killed before it had said its pid, goes on.
	if err := h.predecessor.Known(); err != nil {
		return err
	}
	// A predecessor that is gone is noticed in takeOver, and no reason to fail.
	return spawn.UnlessClosed(h.predecessor.Send([]byte{sayHello}))
}

// takeOver makes this process the main one when the predecessor, which knows of it, says so, or has
// died. In the second case too somebody must: the sockets are in our hands. It calls done when
// nothing can fail any more, and the predecessor has not heard that it can go.
func (h *heritage) takeOver(done func()) (err error) {
	old := h.holdPredecessor()
	defer func() {
		if err != nil && old != nil {
			_ = old.Close()
		}
	}()
	if err := spawn.UnlessClosed(h.predecessor.Send([]byte{sayReady})); err != nil {
		return fmt.Errorf("tell the predecessor: %w", err)
	}
	answer, err := h.predecessor.Receive()
	if err != nil && err != io.EOF {
		return fmt.Errorf("hear of the predecessor: %w", err)
	}
	if err == nil && (len(answer) == 0 || answer[0] != sayGo) {
		return errors.New("the predecessor said something unknown")
	}
	if err := succeedAll(); err != nil {
		err = fmt.Errorf("take over: %w", err)
		// It notices our end too, if it can no longer hear why.
		text := spawn.Shorten(err.Error(), spawn.MostText)
		_ = h.predecessor.Send(append([]byte{sayFailed, 0}, text...))
		return err
	}
	done()
	if err := spawn.UnlessClosed(h.predecessor.Send([]byte{sayTook})); err != nil {
		return fmt.Errorf("tell the predecessor: %w", err)
	}
	go h.waitAlone(old)
	return nil
}

// holdPredecessor holds the process whose place this one takes; nil if it is gone, or cannot be
// held.
func (h *heritage) holdPredecessor() *sys.Process {
	if h.note.PID <= 0 { // an older version, which did not say
		return nil
	}
	p, err := sys.Pin(h.note.PID)
	if err != nil {
		return nil
	}
	if h.predecessor.Orphaned() { // before it was held, perhaps: the number may be another's
		_ = p.Close()
		return nil
	}
	return p
}

// succeedAll has every part of the program take its place.
func succeedAll() error {
	return each(spawn.Handovers(), func(l spawn.Handover) func() error { return l.Succeed })
}

// each has parts of the program do what they have for that.
func each(parts []spawn.Handover, what func(spawn.Handover) func() error) error {
	var errs []error
	for _, l := range parts {
		if do := what(l); do != nil {
			errs = append(errs, do())
		}
	}
	return errors.Join(errs...)
}

// waitAlone keeps one thread while the predecessor finishes what it is at.
func (h *heritage) waitAlone(old *sys.Process) {
	defer close(h.alone)
	for {
		if _, err := h.predecessor.Receive(); err != nil {
			break
		}
	}
	// A process that ends closes its descriptors one by one, in the order of their numbers: locks
	// and sockets that both used may still be open there.
	if old != nil {
		// the context does not end, and a failure has the same consequence as no process held
		_ = old.Wait(context.Background())
		_ = old.Close()
	}
}

// tellWaiter names this process to the waiter, in order that it is there before the predecessor's
// end is.
func (h *heritage) tellWaiter() error {
	if h.waiter == nil {
		return nil
	}
	_, err := h.waiter.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	return err
}

// ownStderr takes the predecessor's standard error for our own, and carries over what is still on
// the way. Children that were started before have the old one, so it is read for as long as one of
// them lives.
func (h *heritage) ownStderr() error {
	if h.predecessor == nil {
		return nil
	}
	real, words := h.files[fileStderr], h.files[fileWords]
	if real == nil || words == nil {
		return errors.New("no standard error from the predecessor")
	}
	if err := sys.Dup2(int(real.Fd()), 2); err != nil {
		return err
	}
	go func() {
		// Nobody could be told of an error here but the reader of standard error.
		_, _ = io.Copy(real, words)
		real.Close()
		words.Close()
	}()
	return nil
}

// socket returns what the predecessor opened the socket of that name as.
func (h *heritage) socket(name string) (socketNote, bool) {
	i := slices.IndexFunc(h.note.Sockets, func(s socketNote) bool { return s.Name == name })
	if i < 0 {
		return socketNote{}, false
	}
	return h.note.Sockets[i], true
}

// Package handover holds the descriptors that services are handed: sockets, what they have stored
// with us, and what goes to the next program.
//
// A Table knows who holds which of them. Who its users are it does not know: they are values of the
// caller's that can be compared, one for each process that is handed something, and one of them
// stands for the service that has stored something. ToProcess is what the start of a process hands
// to it, ToProgram what this program hands to the one that is executed in its process.
package handover

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/daemonry/daemonry/internal/sys"
)

// Options are what a Table needs of its owner, the one goroutine that calls its methods.
type Options[U comparable] struct {
	Post    func(func())                     // has a function run by the owner, later
	Room    func() (leave func(), err error) // for one more descriptor, until leave is called
	Failed  func(user U, err error)          // is told what could not be done for a user
	Trouble func(error)                      // is told the rest
	Given   ToProgram                        // by the program before this one in the process
}

// Table knows who holds which descriptor.
type Table[U comparable] struct {
	o       Options[U]
	held    map[U][]*shared[U]    // in the order of each one's description
	sockets map[string]*shared[U] // the same, by key
	stores  map[U]*store
	given   ToProgram // of Options.Given, what has not been claimed yet; without the notify socket
	watch   watch
	closing chan struct{} // holds a token for each descriptor of a message that is being closed
}

// New makes a table. Nothing can be waited for until Open.
func New[U comparable](o Options[U]) *Table[U] {
	return &Table[U]{
		o: o, held: map[U][]*shared[U]{}, sockets: map[string]*shared[U]{}, stores: map[U]*store{},
		given:   ToProgram{Held: slices.Clone(o.Given.Held), Pipes: o.Given.Pipes},
		watch:   watch{post: o.Post, trouble: o.Trouble, waits: map[uint64]wait{}},
		closing: make(chan struct{}, mostClosing),
	}
}

// Open makes what waits at descriptors. Where the system has nothing of the kind, services on
// demand are refused when they start, and what is stored is kept until somebody asks for it.
func (t *Table[U]) Open() error {
	w, err := sys.NewWatch()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	t.watch.w = w
	return err
}

// See tells the owner what has come at descriptors, until Close.
func (t *Table[U]) See() {
	if t.watch.w != nil {
		t.watch.see()
	}
}

// Close ends all waiting. What is held stays open: the process ends.
func (t *Table[U]) Close() error {
	if t.watch.w == nil {
		return nil
	}
	return t.watch.w.Close()
}

// watch waits at descriptors.
type watch struct {
	w       *sys.Watch // nil where there is none
	post    func(func())
	trouble func(error)
	waits   map[uint64]wait // by key
	last    uint64          // key given
}

// wait is a descriptor that is waited at, with what to do when what is waited for has come.
type wait struct {
	fd int
	f  func()
}

// see tells the owner what has come, until the watch is closed.
func (w *watch) see() {
	keys := make([]uint64, 64)
	for {
		n, err := w.w.Next(keys)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // epoll_wait(2) fails for our own mistakes only
			w.post(func() { w.tell(err) })
			return
		}
		for _, key := range keys[:n] {
			w.post(func() {
				if one, ok := w.waits[key]; ok {
					w.forget(key)
					one.f()
				}
			})
		}
	}
}

func (w *watch) tell(err error) { w.trouble(fmt.Errorf("wait for connections: %w", err)) }

// add has f run by the owner, once, when want has come at fd. What it returns is for forget, to be
// called before fd is closed; 0 if there is nothing to wait for at such a descriptor.
func (w *watch) add(fd int, want sys.Interest, f func()) (uint64, error) {
	if w.w == nil {
		return 0, sys.Unsupported("waiting for connections")
	}
	w.last++
	if err := w.w.Add(fd, want, w.last); err != nil {
		return 0, err
	}
	w.waits[w.last] = wait{fd, f}
	return w.last, nil
}

// forget ends what add began, unless it has ended.
func (w *watch) forget(key uint64) {
	one, ok := w.waits[key]
	if !ok {
		return
	}
	delete(w.waits, key)
	if err := w.w.Remove(one.fd); err != nil {
		w.tell(err)
	}
}

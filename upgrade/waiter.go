//go:build unix && !aix

package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/listen"
)

// waiter is the process that stays when the serving ones come and go. One goroutine does everything
// in it. It learns of a new main process before the old one can have ended: the new one says so
// first.
type waiter struct {
	main    int
	channel sys.Channel // the serving processes have the other end
	heard   []byte      // what was read of it and is not a whole line
	signals chan os.Signal
	child   chan os.Signal // SIGCHLD: of any number one is enough
}

// becomeWaiter starts this very program below and ends this process when that ends. It returns only
// if it cannot.
//
// No image is executed anew for it: New is the first that main does, so there is not much
// of the program here that could be thrown away.
func becomeWaiter() error {
	if os.Getpid() != 1 {
		if err := sys.BecomeSubreaper(); err != nil {
			return fmt.Errorf("keep the process id: %w", err)
		}
	}
	w := &waiter{signals: make(chan os.Signal, 64), child: make(chan os.Signal, 1)}
	signal.Notify(w.child, syscall.SIGCHLD)
	signal.Notify(w.signals, forwarded()...)
	if err := w.start(); err != nil {
		signal.Stop(w.child)
		signal.Stop(w.signals)
		return fmt.Errorf("start the program below process %d: %w", os.Getpid(), err)
	}
	for {
		select {
		case s := <-w.signals:
			w.forward(s.(syscall.Signal))
		case <-w.child:
			if status, over := w.reap(); over {
				os.Exit(status)
			}
		}
	}
}

func (w *waiter) start() error {
	ours, theirs, err := sys.NewChannel()
	if err != nil {
		return err
	}
	w.channel = ours
	end := os.NewFile(uintptr(theirs), fileWaiter)
	defer end.Close()
	self, err := spawn.Self()
	if err != nil {
		return err
	}
	sockets, err := listen.Take()
	if err != nil {
		return err
	}
	spec := &spawn.Spec{
		Path: self,
		Args: os.Args,
		Env:  os.Environ(),
		// Without a terminal of its own, as Ctrl-C would reach the program twice: from the terminal
		// and from us.
		Session: true,
		Files:   []spawn.File{{FD: 1, Source: os.Stdout}, {FD: 2, Source: os.Stderr}},
	}
	for i, s := range sockets.All() {
		f, err := s.File()
		if err != nil {
			return err
		}
		defer f.Close()
		spec.Files = append(spec.Files, spawn.File{FD: 3 + i, Source: f})
		spec.ListenNames = append(spec.ListenNames, s.Name)
	}
	data, err := json.Marshal(note{Files: []string{fileWaiter}})
	if err != nil {
		return err
	}
	others := spawn.Handovers() // of what main called before New
	successor, err := spawn.StartSuccessor(context.Background(), spec, os.Stdin,
		append(others, spawn.Handover{
			Name: handoverName,
			Give: func() ([]byte, []*os.File) { return data, []*os.File{end} },
		}))
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	w.main = successor.PID
	err = each(others, func(l spawn.Handover) func() error { return l.Retire })
	// it speaks to us by the other channel, as its successors do
	return errors.Join(err, successor.Close())
}

// forward passes a signal on to the main process, which is not reaped by anybody but us, or by its
// parent when that has ended the attempt to be replaced by it: so the number is its own.
func (w *waiter) forward(s syscall.Signal) {
	w.listen()
	// ESRCH: it has ended, which is noticed elsewhere.
	_ = sys.Kill(w.main, s)
}

// listen takes in which process is the main one now.
func (w *waiter) listen() {
	var buf [256]byte
	for {
		if n, err := w.channel.Peek(buf[:]); n == 0 || err != nil {
			return
		}
		n, _, err := w.channel.Recv(buf[:])
		if err != nil {
			return // all that had the other end are gone: their exits tell the rest
		}
		w.heard = append(w.heard, buf[:n]...)
		for {
			line, rest, whole := bytes.Cut(w.heard, []byte("\n"))
			if !whole {
				break
			}
			w.heard = rest
			if pid, err := strconv.Atoi(string(line)); err == nil && pid > 1 {
				w.main = pid
			}
		}
	}
}

// reap takes in all dead children, among them orphans of anybody's below. It is over when the main
// process is among them.
func (w *waiter) reap() (status int, over bool) {
	for {
		pid, s, err := sys.ReapAny()
		switch {
		case err != nil:
			// ECHILD: the main process was reaped by another, and so there is nothing to wait for
			return spawn.StatusFailed, true
		case pid == 0:
			return 0, false
		}
		if w.listen(); pid == w.main {
			return spawn.ExitOf(s).Status(), true
		}
	}
}

// forwarded are all signals that mean something to a program, and none that mean the waiter itself:
// SIGCHLD, those of a terminal's job control, which stop who reads, those that the Go runtime sends
// itself (SIGURG, SIGPROF) and those by which the kernel reports a fault or a closed pipe of ours.
func forwarded() []os.Signal {
	own := map[syscall.Signal]bool{
		syscall.SIGKILL: true, syscall.SIGSTOP: true, syscall.SIGCHLD: true, syscall.SIGTTIN: true,
		syscall.SIGTTOU: true,
		syscall.SIGTSTP: true, syscall.SIGURG: true, syscall.SIGPROF: true, syscall.SIGPIPE: true,
		syscall.SIGSEGV: true,
		syscall.SIGBUS:  true, syscall.SIGFPE: true, syscall.SIGILL: true, syscall.SIGTRAP: true,
	}
	var list []os.Signal
	for s := syscall.Signal(1); s <= lastSignal(); s++ {
		if !own[s] && s != 32 && s != 33 && s != 34 { // of the C library's threads (signal(7))
			list = append(list, s)
		}
	}
	return list
}

func lastSignal() syscall.Signal {
	if runtime.GOOS == "linux" {
		return 64
	}
	return 31
}

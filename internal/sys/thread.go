package sys

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// OnThread runs f in a goroutine, on a thread of its own that ends with it: what f sets for its
// thread is nobody else's.
//
// That is never the thread that the process began with. The runtime cannot end that one and parks
// it for ever as it is (runtime.mexit), where /proc/PID shows its user, umask and directory for
// those of the process, and where the parent death signal of what it has forked does not come.
func OnThread(f func()) {
	go func() {
		runtime.LockOSThread() // and never unlocks: so the thread ends with the goroutine
		if !firstThread() {
			f()
			return
		}
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread() // another one: the first is held meanwhile
			close(started)
			f()
		}()
		<-started
		runtime.UnlockOSThread()
	}()
}

// ReserveThreads has the runtime make n threads that it keeps: it ends none that a goroutine has
// given back. When it needs one and the kernel refuses it (RLIMIT_NPROC of setrlimit(2), pids.max
// of a control group) the runtime ends the process by SIGABRT; a program that must outlive such a
// moment has its threads before.
func ReserveThreads(n int) {
	all := make(chan struct{})
	var here, gone sync.WaitGroup
	here.Add(n)
	for range n {
		gone.Go(func() {
			runtime.LockOSThread() // so none of them can share a thread
			here.Done()
			<-all
			runtime.UnlockOSThread()
		})
	}
	here.Wait()
	close(all)
	gone.Wait()
}

// StuckError says that the kernel had not answered when the time for it was over: a file server
// that is dead, or a FUSE file system whose program does not answer. A call that waits in the
// kernel cannot be ended, so the thread that made it, or the process that was killed for it, goes
// on waiting.
type StuckError struct {
	What     string          // what was being done; may be empty
	Cause    error           // why it was given up: of the context
	Returned <-chan struct{} // closed when the call has come back after all
}

func (e *StuckError) Error() string {
	if e.What == "" {
		return fmt.Sprintf("the file system has not answered: %v", e.Cause)
	}
	return fmt.Sprintf("%s: the file system has not answered: %v", e.What, e.Cause)
}

// Unwrap returns Cause.
func (e *StuckError) Unwrap() error { return e.Cause }

// Within does what may wait in the kernel for something that is not ours, and gives up waiting when
// ctx ends. undo, if not nil, is given what is got after that.
func Within[T any](
	ctx context.Context, what string, do func() (T, error), undo func(T),
) (T, error) {
	type answer struct {
		got T
		err error
	}
	answers, returned := make(chan answer), make(chan struct{})
	go func() {
		defer close(returned)
		got, err := do()
		select {
		case answers <- answer{got, err}:
		case <-ctx.Done():
			if err == nil && undo != nil {
				undo(got)
			}
		}
	}()
	select {
	case a := <-answers:
		return a.got, a.err
	case <-ctx.Done():
		var none T
		return none, &StuckError{What: what, Cause: context.Cause(ctx), Returned: returned}
	}
}

package sys

import (
	"context"
	"fmt"
)

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
func Within[T any](ctx context.Context, what string, do func() (T, error), undo func(T)) (T, error) {
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

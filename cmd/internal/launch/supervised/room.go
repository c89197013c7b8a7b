package supervised

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// Descriptors.
const (
	// ownDescriptors stay free for what the supervisor has to do whatever happens: to look at
	// processes, end them, write down what is true, and answer. No service is started, and nothing
	// is kept for one, if fewer would be left.
	ownDescriptors = 8
	// birthDescriptors are what a start needs while it is under way, and its service from then on.
	birthDescriptors = 10
	// mostReckoned bounds how much is reckoned for what is under way at the same time.
	mostReckoned = 8 * birthDescriptors
)

// Room sees to it that services leave the supervisor the descriptors that it needs itself.
type Room struct {
	have func(n int) error // sys.HaveDescriptors

	mu       sync.Mutex
	less     sync.Cond
	underWay int // descriptors of those that have entered and not left
}

func NewRoom() *Room {
	r := &Room{have: sys.HaveDescriptors}
	r.less.L = &r.mu
	return r
}

// Enter takes n descriptors into account until leave. While there is too little room it waits for
// others to leave; if there is nobody who could, the error says which limit there is. It waits
// until ctx ends. A nil room has no bounds.
func (r *Room) Enter(ctx context.Context, n int) error {
	if r == nil {
		return nil
	}
	defer context.AfterFunc(ctx, func() {
		r.mu.Lock() // or it could end between the look at it and the wait
		defer r.mu.Unlock()
		r.less.Broadcast()
	})()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("waits for descriptors: %w", context.Cause(ctx))
		}
		err := r.have(ownDescriptors + n + min(r.underWay, mostReckoned))
		if err == nil {
			r.underWay += n
			return nil
		}
		if r.underWay == 0 {
			var errno syscall.Errno // without the name of the call, which was a question
			if !errors.As(err, &errno) {
				return err
			}
			return fmt.Errorf(
				"%w: the supervisor may have %d descriptors (RLIMIT_NOFILE), and keeps the last %d",
				errno, sys.MostDescriptors(), ownDescriptors+n,
			)
		}
		r.less.Wait()
	}
}

func (r *Room) Leave(n int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.underWay -= n
	r.mu.Unlock()
	r.less.Broadcast()
}

package supervised

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Who comes when there is too little room waits for those who may leave some, and for nobody else.
var errLate = errors.New("late")

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		r := NewRoom()
		r.have = func(n int) error {
			if int64(n) > free.Load() {
				return syscall.EMFILE
			}
			return nil
		}
		free.Store(ownDescriptors + 9)
		if err := r.Enter(t.Context(), 10); !errors.Is(err, syscall.EMFILE) ||
			!strings.Contains(err.Error(), "RLIMIT_NOFILE") {
			t.Errorf("no room, and nobody to wait for: %v", err)
		}
		free.Store(ownDescriptors + 10)
		if err := r.Enter(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		second := make(chan error)
		go func() { second <- r.Enter(t.Context(), 10) }()
		time.Sleep(time.Minute)
		select {
		case err := <-second:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		r.Leave(10)
		if err := <-second; err != nil {
			t.Errorf("room again: %v", err)
		}
		free.Store(0)
		third := make(chan error)
		go func() { third <- r.Enter(t.Context(), 10) }()
		synctest.Wait()
		r.Leave(10)
		if err := <-third; !errors.Is(err, syscall.EMFILE) {
			t.Errorf("nobody is left to wait for: %v", err)
		}
		free.Store(ownDescriptors + 10)
		if err := r.Enter(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		ctx, giveUp := context.WithTimeoutCause(t.Context(), time.Minute, errLate)
		defer giveUp()
		if err := r.Enter(ctx, 10); !errors.Is(err, errLate) {
			t.Errorf("it waits longer than it may: %v", err)
		}
	})
}

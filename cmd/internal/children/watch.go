package children

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// watchChildren makes orphans ours and tells when a child has died.
func watchChildren() (<-chan struct{}, func(), error) {
	if err := sys.BecomeSubreaper(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, nil, err
	}
	signals := make(chan os.Signal, 1) // one is enough: each makes us look for all
	signal.Notify(signals, syscall.SIGCHLD)
	died := make(chan struct{})
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case died <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return died, func() { signal.Stop(signals); close(done) }, nil
}

package boot

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// waitTime is longer than runsvdir(8) and s6-svscan take to look at their directory, which is 5 s
// on an idle machine, and than a supervisor takes to end once its service has.
const waitTime = time.Minute

// appear waits until a path exists.
func appear(ctx context.Context, path string) error {
	return poll(ctx, "does not come", func() (bool, error) {
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return true, plain(err)
	})
}

// ended waits until nobody reads a FIFO any more.
func ended(ctx context.Context, fifo string) error {
	return poll(ctx, fifo+": its reader does not end",
		func() (bool, error) { return !alive(fifo), nil })
}

// alive says whether somebody reads a FIFO: runsv(8) does so for "ok", and
// s6-supervise for "control", as long as they run.
func alive(fifo string) bool {
	f, err := os.OpenFile(fifo, os.O_WRONLY|sys.O_NONBLOCK, 0)
	if err != nil {
		return false // ENXIO: nobody reads
	}
	f.Close()
	return true
}

// poll asks until it is so: whoever makes it so tells nobody.
func poll(ctx context.Context, otherwise string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTime,
		errors.New(otherwise+" within "+waitTime.String()))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

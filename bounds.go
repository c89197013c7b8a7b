package daemonry

import (
	"context"
	"errors"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// disk is where a file is: a file system that perhaps does not answer, since what it needs is gone,
// a server or the program behind it. What is done there is done one after the other, also when
// nobody waits for it any more.
type disk struct {
	busy <-chan struct{} // closed when what was not waited for has been done; may be nil
}

// within does something there and waits for it until ctx ends. undo, if not nil, is given what is
// got later.
func within[T any](
	ctx context.Context, d *disk, what string, do func() (T, error), undo func(T),
) (T, error) {
	before := d.busy
	got, err := sys.Within(ctx, what, func() (T, error) {
		if before != nil {
			<-before
		}
		return do()
	}, undo)
	if stuck, ok := errors.AsType[*sys.StuckError](err); ok {
		d.busy = stuck.Returned
	}
	return got, err
}

// answerTime is how long what has to be done in the end is waited for: it is done all the same.
const answerTime = 2 * time.Second

// finally does something there in the end, when time is over perhaps: at once or, if there is no
// answer, whenever there is one; the zero value is returned then.
func finally[T any](d *disk, do func() T) T {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	select {
	case <-d.busy: // it has answered since; of nil it never does
		d.busy = nil
	default:
		if d.busy != nil {
			cancel()
		}
	}
	got, _ := within(ctx, d, "", func() (T, error) { return do(), nil }, nil)
	return got
}

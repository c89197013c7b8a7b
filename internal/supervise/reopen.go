package supervise

import (
	"context"
	"errors"

	"github.com/daemonry/daemonry/internal/logs"
)

// ReopenLogs closes the log files of all services; what comes next goes into the files that have the names then. It is for
// who renames them, such as logrotate(8).
func (e *Engine) ReopenLogs(ctx context.Context) error {
	var streams []*logs.Stream
	if err := e.ask(ctx, func() {
		for _, s := range e.sorted() {
			if s.stream != nil {
				streams = append(streams, s.stream)
			}
		}
	}); err != nil {
		return err
	}
	var errs []error
	for _, stream := range streams {
		if err := stream.Reopen(); !errors.Is(err, logs.ErrClosed) { // its service has been removed meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

package supervise

import (
	"context"
	"errors"

	"github.com/daemonry/daemonry/cmd/internal/logs"
)

// ReopenLogs closes the log files of services; what comes next goes into the files that have the
// names then. It is for who renames them, such as logrotate(8).
func (e *Engine) ReopenLogs(ctx context.Context, names ...string) error {
	var streams []*logs.Stream
	var err error
	if askErr := e.ask(ctx, func() {
		var found []*service
		if found, err = e.services.Find(names); err != nil {
			return
		}
		for _, s := range found {
			if s.Stream() != nil {
				streams = append(streams, s.Stream())
			}
		}
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, stream := range streams {
		// its service has been removed meanwhile
		if err := stream.Reopen(); !errors.Is(err, logs.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
)

// Events returns events in order. With Follow it goes on until the loop is
// left or the supervisor ends, which ends the loop without an error. Any
// error, also that of a ctx that ends, is the last thing delivered.
//
// Events that the supervisor no longer had are announced by one of kind [EventMissed] in their
// place. A supervisor whose program is replaced (Upgrade) goes on where it was.
func (c *Client) Events(ctx context.Context, r EventsRequest) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		// Closing the body early would have net/http read to the end of the stream first.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for again := false; ; again = true {
			resp, err := c.send(ctx, "GET", "/events", r.values(), nil)
			if err != nil && again && ctx.Err() == nil {
				return // it has ended since
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			upgrading := events(resp.Body, &r, yield)
			resp.Body.Close()
			if !upgrading {
				return
			}
		}
	}
}

// events delivers a stream, and says whether it ended because the supervisor's program is being
// replaced. In r is then from where to go on.
func events(stream io.Reader, r *EventsRequest, yield func(Event, error) bool) (upgrading bool) {
	// which skips the empty lines that show that the connection is alive
	lines := json.NewDecoder(stream)
	for {
		var ev Event
		switch err := lines.Decode(&ev); {
		case errors.Is(err, io.EOF):
			return false
		case err == nil && ev.Kind == EventUpgrade && ev.ID == 0:
			return true
		case err != nil:
			yield(Event{}, fmt.Errorf("read events: %w", err))
			return false
		}
		if ev.ID > 0 {
			r.New, r.After = false, ev.ID
		}
		if !yield(ev, nil) {
			return false
		}
	}
}

// Logs returns what a service has printed, as it is, and with Follow what it prints. End ctx or
// close the reader to be done. A stream that follows ends with the supervisor, and also when its
// program is replaced (Upgrade): then ask again, with Since if the log has time stamps.
func (c *Client) Logs(ctx context.Context, r LogsRequest) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.send(ctx, "GET", "/services/"+url.PathEscape(r.Name)+"/logs", r.values(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	return &body{resp.Body, cancel}, nil
}

// body ends the request when it is closed.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *body) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

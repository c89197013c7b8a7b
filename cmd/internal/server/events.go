package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/events"
	"github.com/daemonry/daemonry/control"
)

// events streams a JSON object a line. An empty line now and then is a sign of
// life, and makes us notice a client whose machine is gone.
func (a *api) events(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "after", "follow", "name")
	if err != nil {
		return err
	}
	follow, err := toggle(q, "follow")
	if err != nil {
		return err
	}
	after, fresh, err := afterOf(q)
	if err != nil {
		return err
	}
	var past []control.Event
	f := &feed{engine: a.engine}
	if fresh {
		_, err = f.subscribe(r.Context(), math.MaxUint64)
	} else {
		past, err = f.since(r.Context(), after)
	}
	if err != nil {
		return err
	}
	defer f.close()
	out := &eventWriter{w: w, names: q["name"]}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if err := out.write(f.gap, past); err != nil || !follow {
		return nil // with the headers sent, nobody can be told why it ends
	}
	a.follow(r.Context(), f, out)
	return nil
}

// follow ends with the client, the engine, or a client that does not read.
func (a *api) follow(ctx context.Context, f *feed, out *eventWriter) {
	for {
		news, err := f.next(ctx, a.heartbeat)
		if err != nil && errors.Is(context.Cause(ctx), errUpgrading) {
			// Without an ID: who follows is to ask again, for what comes after the last that had
			// one.
			out.buf = out.buf[:0]
			if out.add(control.Event{Kind: control.EventUpgrade, Time: time.Now(),
				Reason: errUpgrading.Error()}) == nil {
				_ = send(out.w, out.buf) // the client may have gone
			}
			return
		}
		if err != nil || out.write(f.gap, news) != nil {
			return
		}
	}
}

// afterOf reads the parameter "after": a number, or "now" for nothing of the past.
func afterOf(q url.Values) (after uint64, fresh bool, err error) {
	switch text := q.Get("after"); text {
	case "":
		return 0, false, nil
	case "now":
		return 0, true, nil
	default:
		after, err = strconv.ParseUint(text, 10, 64)
		if err != nil {
			err = badRequest("it is the id of an event, or now", "parameter \"after\" is %q", text)
		}
		return after, false, err
	}
}

// feed delivers the engine's events without a hole, or says where there is one.
// The engine cuts off who lags behind; the feed comes back for what was kept.
type feed struct {
	engine Engine
	sub    Subscription
	last   uint64         // ID of the last event delivered
	gap    *control.Event // goes before what was returned last, if events are missing there
}

func (f *feed) subscribe(ctx context.Context, after uint64) ([]control.Event, error) {
	past, sub, err := f.engine.Subscribe(ctx, after)
	if err == nil {
		f.sub = sub
	}
	return past, err
}

func (f *feed) close() { f.sub.Close() }

// since subscribes and returns the past events with an ID above after. The
// engine delivers new events whatever their number, so an after that an earlier supervisor
// counted must be recognised here.
func (f *feed) since(ctx context.Context, after uint64) ([]control.Event, error) {
	past, err := f.subscribe(ctx, 0)
	if err != nil {
		return nil, err
	}
	newest := uint64(0)
	if len(past) > 0 {
		newest = past[len(past)-1].ID
	}
	f.last = newest
	if after > newest {
		f.gap = missed(0,
			fmt.Sprintf("the supervisor has no event %d: it is another one, and counts anew",
				after))
		return past, nil
	}
	past = slices.DeleteFunc(past, func(ev control.Event) bool { return ev.ID <= after })
	if after > 0 {
		f.checkGap(after, past)
	}
	return past, nil
}

func (f *feed) checkGap(last uint64, events []control.Event) {
	if f.gap = nil; len(events) > 0 && events[0].ID > last+1 {
		n := events[0].ID - last - 1
		f.gap = missed(events[0].ID-1, fmt.Sprintf("%d events are no longer kept", n))
	}
}

func missed(id uint64, why string) *control.Event {
	return &control.Event{ID: id, Time: time.Now(), Kind: control.EventMissed, Reason: why}
}

// next waits for events; none after a while is none.
func (f *feed) next(ctx context.Context, while time.Duration) ([]control.Event, error) {
	f.gap = nil
	waiting, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	ev, err := f.sub.Next(waiting)
	switch {
	case err == nil:
		f.last = ev.ID
		return []control.Event{ev}, nil
	case errors.Is(err, events.ErrLagged):
		return f.again(ctx)
	case ctx.Err() == nil && waiting.Err() != nil:
		return nil, nil
	}
	return nil, err
}

// again goes on after the engine has cut us off.
func (f *feed) again(ctx context.Context) ([]control.Event, error) {
	f.sub.Close()
	events, err := f.subscribe(ctx, f.last)
	if err != nil {
		return nil, err
	}
	f.checkGap(f.last, events)
	if len(events) > 0 {
		f.last = events[len(events)-1].ID
	}
	return events, nil
}

// eventWriter writes events to a client.
type eventWriter struct {
	w     http.ResponseWriter
	names []string // of these services only, if there are any
	buf   []byte
}

// write sends events, after a gap if there is one; without either, a sign of life.
func (o *eventWriter) write(gap *control.Event, events []control.Event) error {
	o.buf = o.buf[:0]
	if gap != nil {
		if err := o.add(*gap); err != nil {
			return err
		}
	}
	for _, ev := range events {
		if !o.wants(ev.Service) {
			continue
		}
		if err := o.add(ev); err != nil {
			return err
		}
	}
	if len(o.buf) == 0 {
		if len(events) > 0 {
			return nil
		}
		o.buf = append(o.buf, '\n')
	}
	return send(o.w, o.buf)
}

func (o *eventWriter) add(ev control.Event) error {
	data, err := json.Marshal(ev)
	if err == nil {
		o.buf = append(append(o.buf, data...), '\n')
	}
	return err
}

// wants says whether the client asked for a service. The name of a service
// with instances stands for all of them, as everywhere.
func (o *eventWriter) wants(service string) bool {
	if len(o.names) == 0 || slices.Contains(o.names, service) {
		return true
	}
	at := strings.LastIndexByte(service, '@')
	if at < 0 {
		return false
	}
	_, err := strconv.ParseUint(service[at+1:], 10, 32)
	return err == nil && slices.Contains(o.names, service[:at])
}

// send writes a piece of a stream at once.
func send(w http.ResponseWriter, p []byte) error {
	if _, err := w.Write(p); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

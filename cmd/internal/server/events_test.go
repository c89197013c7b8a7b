//go:build linux

package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
)

// brief says an event in a word.
func brief(ev control.Event) string {
	if ev.Kind == control.EventMissed {
		return "missed:" + ev.Reason
	}
	return fmt.Sprintf("%d:%s", ev.ID, ev.Service)
}

// collect reads events until there are n, or the stream ends.
func collect(
	t *testing.T, c *control.Client, r control.EventsRequest, n int, after func(i int),
) []string {
	t.Helper()
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ev, err := range c.Events(ctx, r) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(got), err)
		}
		got = append(got, brief(ev))
		if after != nil {
			after(len(got))
		}
		if len(got) == n {
			break
		}
	}
	return got
}

func TestPastEvents(t *testing.T) {
	f := serveFake(t, nil)
	all := control.EventsRequest{}
	if got := collect(t, f.Client, all, 0, nil); len(got) != 0 {
		t.Errorf("nothing has happened: %q", got)
	}
	for id, name := range []string{"", "", "", "a", "web@1", "web@2", "web"} {
		if id > 2 {
			f.engine.events.emit(uint64(id), name)
		}
	}
	for _, tt := range []struct {
		r    control.EventsRequest
		want []string
	}{
		{all, []string{"3:a", "4:web@1", "5:web@2", "6:web"}},
		{control.EventsRequest{After: 4}, []string{"5:web@2", "6:web"}},
		{control.EventsRequest{After: 6}, nil},
		{control.EventsRequest{New: true}, nil},
		{control.EventsRequest{Names: []string{"web"}}, []string{"4:web@1", "5:web@2", "6:web"}},
		{control.EventsRequest{Names: []string{"web@2", "a"}}, []string{"3:a", "5:web@2"}},
		{control.EventsRequest{After: 1},
			[]string{"missed:1 events are no longer kept", "3:a", "4:web@1", "5:web@2", "6:web"}},
		{control.EventsRequest{After: 900, Names: []string{"a"}}, []string{
			"missed:the supervisor has no event 900: it is another one, and counts anew", "3:a",
		}},
	} {
		if got := collect(t, f.Client, tt.r, 100, nil); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.r, got, tt.want)
		}
	}
}

// The engine cuts off a stream that lags. What was kept closes the gap; what was not is owned up
// to.
func TestEventsAcrossLag(t *testing.T) {
	f := serveFake(t, nil)
	events := &f.engine.events
	events.emit(1, "a")
	got := collect(t, f.Client, control.EventsRequest{Follow: true}, 9, func(i int) {
		switch i {
		case 1:
			events.emit(2, "b")
		case 2:
			events.cut(0, 3, 4) // all is kept
		case 4:
			events.emit(5, "c")
		case 5:
			events.cut(8, 6, 7, 8, 9) // 6 to 8 are not
		case 7:
			events.emit(10, "d")
			events.emit(11, "e")
		}
	})
	want := []string{"1:a", "2:b", "3:", "4:", "5:c", "missed:3 events are no longer kept", "9:",
		"10:d", "11:e"}
	if !slices.Equal(got, want) {
		t.Errorf("events: %q\nwant    %q", got, want)
	}
}

func TestEventsEndWithTheEngine(t *testing.T) {
	f := serveFake(t, nil)
	f.engine.events.emit(1, "a")
	got := collect(t, f.Client, control.EventsRequest{Follow: true}, 100,
		func(int) { f.engine.events.end() })
	if !slices.Equal(got, []string{"1:a"}) {
		t.Errorf("events: %q", got)
	}
}

// Signs of life come while nothing happens, and end with a client that has gone.
func TestHeartbeat(t *testing.T) {
	f := serveFake(t, func(a *api, _ *http.Server) { a.heartbeat = 5 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := rawGet(ctx, f.socket, "/v1/events?follow=1&after=now")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	beats := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, beats); err != nil ||
		!bytes.Equal(beats, []byte("\n\n\n\n\n")) {
		t.Errorf("stream: %q, %v", beats, err)
	}
	if ct := resp.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/x-ndjson") {
		t.Error(ct)
	}
}

// A reader that stops reading is dropped, and the others see everything.
func TestEventsToSlowReader(t *testing.T) {
	f := serveFake(t, func(a *api, _ *http.Server) { a.writeTime = time.Second })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := rawGet(ctx, f.socket, "/v1/events?follow=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	const events, size = 1000, 2000
	for id := range uint64(events) {
		f.engine.events.emit(id+1, strings.Repeat("x", size))
	}
	if got := collect(t, f.Client, control.EventsRequest{}, 2*events, nil); len(got) != events {
		t.Errorf("%d events, want %d", len(got), events)
	}
	shutdown, cancelShutdown := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancelShutdown()
	if err := f.server.Shutdown(shutdown); err != nil { // waits for every connection
		t.Error(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n > events*size {
		t.Errorf("the stream does not end in the middle: %d bytes, %v", n, err)
	}
}

package cli

import (
	"testing"
	"time"
)

// TestMoments: a time may be cut off anywhere.
func TestMoments(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 30, 0, 0, time.Local)
	read := momentBefore(func() time.Time { return now })
	at := func(month time.Month, day, hour, minute, second int) time.Time {
		return time.Date(2026, month, day, hour, minute, second, 0, time.Local)
	}
	for text, want := range map[string]time.Time{
		"2026-11-21T07:48:30": at(11, 21, 7, 48, 30), "2026-11-21 07:48:30": at(11, 21, 7, 48, 30), "2026-11-21 07:48": at(11, 21, 7, 48, 0),
		"2026-11-21T07": at(11, 21, 7, 0, 0), "2026-11-21 07": at(11, 21, 7, 0, 0), "2026-11-21": at(11, 21, 0, 0, 0), "2026-11": at(11, 1, 0, 0, 0),
		"2026": at(1, 1, 0, 0, 0), "07:48": at(11, 21, 7, 48, 0), "07:48:30": at(11, 21, 7, 48, 30), "10m": now.Add(-10 * time.Minute),
		"2026-11-21T07:48:30Z": time.Date(2026, 11, 21, 7, 48, 30, 0, time.UTC), "2026-11-21T07:48:30+01:00": time.Date(2026, 11, 21, 6, 48, 30, 0, time.UTC),
	} {
		if got, err := read(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "07", "20", "2026-1", "2026-13", "2026-11-21T", "yesterday", "25:00", "-10m", "forever", "11-21"} {
		if got, err := read(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

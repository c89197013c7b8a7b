package supervised

import "testing"

// TestUnansweredHaveABound is about the threads that wait for nothing.
func TestUnansweredHaveABound(t *testing.T) {
	open := make(chan struct{})
	closed := make(chan struct{})
	close(closed)
	for _, c := range []struct {
		stuck Stuck
		want  string
	}{
		{Stuck{}, ""},
		{Stuck{closed, 1}, ""},
		{Stuck{open, 1}, ErrStuck.Error()},
		{Stuck{nil, mostUnanswered},
			"1000 starts wait for file systems that do not answer, and no more may"},
	} {
		got := ""
		if err := c.stuck.still(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%d: %q, want %q", c.stuck.All, got, c.want)
		}
	}
}

package handover

import (
	"slices"
	"testing"

	"github.com/daemonry/daemonry/spec"
)

// A connection is told once, to all who wait for it, and stays where it is.
func TestAwait(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	path := b.path("s")
	one, two := instance(1, unix(path), unix(b.path("other"))), instance(2, unix(path))
	called := map[*user]int{}
	await := func(u *user) {
		t.Helper()
		if err := b.Await(u, func(at spec.Address) {
			if called[u]++; at.Addr != path {
				t.Errorf("connected to %s", at)
			}
		}); err != nil {
			t.Error(err)
		}
	}
	for _, u := range []*user{one, two} {
		b.hold(u)
		await(u)
	}
	if is, err := b.Called(one); is || err != nil {
		t.Error(is, err)
	}
	b.isRight(0)
	if !answers(path) {
		t.Fatal("not open")
	}
	b.await("both are told", func() bool { return len(called) == 2 })
	if is, err := b.Called(one); !is || err != nil {
		t.Error(is, err)
	}
	if called[one] != 1 || called[two] != 1 {
		t.Error(called)
	}
	b.isRight(0)
	// Who waits for the same again is told at once, and who has stopped is not.
	await(one)
	await(two)
	b.StopAwaiting(one)
	b.isRight(0)
	b.await("it is told again", func() bool { return called[two] == 2 })
	await(two)
	b.Release(two)
	b.turn()
	if called[one] != 1 || called[two] != 2 {
		t.Error(called)
	}
	b.Release(one)
	b.isRight(0)
	if is, err := b.Called(one); is || err != nil {
		t.Error(is, err)
	}
}

// Who is told may end the wait of who is not told yet, or wait again.
func TestAwaitIsEndedMeanwhile(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	path := b.path("s")
	one, two := instance(1, unix(path)), instance(2, unix(path))
	called, again := 0, 0
	for _, u := range []*user{one, two} {
		b.hold(u)
		if err := b.Await(u, func(spec.Address) {
			called++
			b.Release(one)
			b.Release(two)
			b.hold(u)
			if err := b.Await(u, func(spec.Address) { again++ }); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Error(err)
		}
	}
	answers(path)
	b.await("one is told", func() bool { return called > 0 })
	b.isRight(0)
	answers(path)
	b.await("it is told again", func() bool { return again > 0 })
	if called != 1 || again != 1 {
		t.Errorf("told %d times, and again %d times", called, again)
	}
	b.Release(one)
	b.Release(two)
	b.isRight(0)
}

// Who is told may wait for the next one at once.
func TestAwaitAgainAtOnce(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	path := b.path("s")
	one, two := instance(1, unix(path)), instance(2, unix(path))
	called := map[*user]int{}
	for _, u := range []*user{one, two} {
		b.hold(u)
		var told func(spec.Address)
		told = func(spec.Address) {
			if called[u]++; called[u] > 2 {
				return
			}
			if err := b.Await(u, told); err != nil {
				t.Error(err)
			}
		}
		told(spec.Address{})
	}
	b.isRight(0)
	answers(path)
	b.await("both are told twice", func() bool { return called[one] == 3 && called[two] == 3 })
	b.isRight(0)
	b.Release(one)
	b.Release(two)
	b.isRight(0)
}

// An instance that lets go of an outdated socket while it waits there leaves nothing behind.
func TestOutdatedWhileAwaited(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	path := b.path("s")
	one, two := instance(1, unix(path)), instance(2, unix(path))
	b.hold(two)
	if err := b.Await(two, func(spec.Address) { t.Error("told") }); err != nil {
		t.Error(err)
	}
	one.spec.Sockets[0].Backlog = 7
	b.Hold(one, &one.spec, slices.Values([]*user{two}))
	b.isRight(0)
	b.StopAwaiting(two)
	b.Release(one)
	b.Release(two)
	b.isRight(0)
}

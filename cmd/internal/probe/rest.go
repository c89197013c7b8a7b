package probe

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// A program has come to rest when nothing of it has been seen to do anything for a window of time:
// no thread ran, waited for a processor or for a disk, no more than a trace of processor time was
// used, and no process, thread or descriptor came or went. It is looked at often while it does
// something and ever more seldom while it does not: what was used between two looks is seen at the
// second.
//
// Three kinds of program never come to rest and are up all the same: those that wake up all the
// time to do a little (calmAfter), those that are asked for something all the time, and those that
// calculate (the bound).
const (
	// DefaultWindow is how long a program must be at rest.
	DefaultWindow = 250 * time.Millisecond
	// DefaultBusy is when a program that is never at rest counts as up: what it waited for a
	// processor is not counted, for a machine that is slow proves nothing. DefaultBound is the most
	// in any case.
	DefaultBusy, DefaultBound = 10 * time.Second, 20 * time.Second
	// toldBusy and toldBound are the same for one that has said READY=1, from then on.
	toldBusy, toldBound = 5 * time.Second, 10 * time.Second
	// RestUnseen is how long a program must be alive where it cannot be seen what it does.
	RestUnseen = time.Second

	// listenWindow is how long a program must be at rest that has a listening TCP socket by now.
	listenWindow = 100 * time.Millisecond
	// restTrace is the processor time that is no sign of life, such as a timer of the language's
	// runtime uses or of a server; or a restShare of the time between two looks, whichever is more.
	restTrace, restShare = 200 * time.Microsecond, 100
	// The pauses between two looks: after a sign of life, and at most.
	firstLook, longestRest = 10 * time.Millisecond, 80 * time.Millisecond
	// lookShare is how many times longer than a look the pause after it is at least: a look at a
	// thousand threads takes long.
	lookShare = 10

	// A program is calm, though not at rest, while it uses less than a tenth of a processor and is
	// seen to want one in less than half of the looks, taken by the half second; after three of
	// those it counts as up.
	calmPeriod, calmAfter = 500 * time.Millisecond, 1500 * time.Millisecond
)

// Told is what is left of a check of Settled when the program has said READY=1: what it loads is
// seen all the same (gunicorn says it before its workers load the application, and ends when they
// cannot, between sleeps of 100 ms).
func (c Check) Told() Check {
	if c.Settle == 0 || time.Duration(c.Settle) > DefaultWindow {
		c.Settle = spec.Duration(DefaultWindow)
	}
	if c.Bound == 0 || c.Bound > toldBound {
		c.Bound = toldBound
	}
	c.Busy = toldBusy
	return c
}

// Looks are the ways to see what a program does; tests replace them.
type Looks interface {
	// Look says what the program has done since the look before.
	Look() (sys.Doing, error)
	// Sockets says whether the program has a listening TCP socket, and what it waits for an answer
	// from, "" for nothing.
	Sockets() (listens bool, asks string)
}

// rest finds out whether a program has come to rest. It is told the time, and tells when to look
// next.
type rest struct {
	window, busy, bound time.Duration
	looks               Looks

	began   time.Time
	waited  time.Duration // for a processor, since then
	last    time.Time     // the look before
	quiet   time.Time     // since when nothing has been seen
	pause   time.Duration
	unseen  error // why nothing can be seen
	checked bool  // its sockets have been looked at since it was quiet
	asks    string

	period      time.Time // when the present half second began
	used        time.Duration
	seen, wants int // looks in it, and those with a thread that ran or wanted to
	calm        time.Duration
}

func newRest(c Check, looks Looks, now time.Time) *rest {
	window := cmp.Or(time.Duration(c.Settle), DefaultWindow)
	return &rest{
		window: window,
		busy:   max(cmp.Or(c.Busy, DefaultBusy), window),
		bound:  max(cmp.Or(c.Bound, DefaultBound), window),
		looks:  looks, began: now, last: now, quiet: now, period: now,
	}
}

// A verdict is the end of the waiting.
type verdict struct {
	up   bool
	note string // what is to be known about it, "" for a program at rest
}

// look looks and says how it stands, and when to look again if the program is not up.
func (r *rest) look(now time.Time) (v verdict, next time.Duration) {
	if r.unseen == nil {
		doing, err := r.looks.Look()
		cost := time.Since(now)
		r.unseen = err
		if err == nil {
			return r.judge(now, cost, doing)
		}
	}
	if left := max(r.window, RestUnseen) - now.Sub(r.began); left > 0 {
		return verdict{}, left
	}
	return verdict{true, fmt.Sprintf("counts as up: alive for %v; whether it has come to rest "+
		"cannot be seen: %v", max(r.window, RestUnseen), unseenReason(r.unseen))}, 0
}

func unseenReason(err error) error {
	switch {
	case errors.Is(err, sys.ErrHidden):
		return errors.New("/proc hides it")
	case errors.Is(err, errors.ErrUnsupported):
		return errors.New("this system does not tell")
	case errors.Is(err, os.ErrNotExist):
		return errors.New("there is no /proc")
	}
	return err
}

func (r *rest) judge(now time.Time, cost time.Duration, d sys.Doing) (verdict, time.Duration) {
	r.count(now, d)
	if d.Running || d.Changed || d.Used > max(restTrace, now.Sub(r.last)/restShare) {
		r.stir(now)
	}
	r.last = now
	early := min(listenWindow, r.window)
	still := now.Sub(r.quiet)
	if still >= early && !r.checked {
		var listens bool
		listens, r.asks = r.looks.Sockets()
		switch {
		case r.asks != "":
			r.stir(now)
			still = 0
		case listens:
			return verdict{up: true}, 0
		default:
			r.checked = true
		}
	}
	r.waited += d.Waited
	age := now.Sub(r.began)
	left := min(r.bound-age, r.busy-(age-r.waited))
	switch {
	case still >= r.window:
		return verdict{up: true}, 0
	case r.calm >= max(calmAfter, r.window):
		return verdict{true,
			fmt.Sprintf("counts as up: it is never at rest for %v, and does little", r.window)}, 0
	case left <= 0 && r.asks != "":
		return verdict{true, fmt.Sprintf("counts as up: alive for %v; %s",
			age.Round(time.Second), r.asks)}, 0
	case left <= 0:
		return verdict{true, fmt.Sprintf("counts as up: busy for %v", age.Round(time.Second))}, 0
	}
	r.pause = min(max(2*r.pause, firstLook), longestRest)
	next := r.pause
	for _, due := range []time.Duration{early - still, r.window - still, left} {
		if due > 0 {
			next = min(next, due)
		}
	}
	return verdict{}, max(next, lookShare*cost)
}

// stir begins the waiting for rest anew.
func (r *rest) stir(now time.Time) { r.quiet, r.checked, r.pause = now, false, 0 }

// count keeps account of how much it does, by the half second.
func (r *rest) count(now time.Time, d sys.Doing) {
	r.seen++
	r.used += d.Used
	if d.Running {
		r.wants++
	}
	past := now.Sub(r.period)
	if past < calmPeriod {
		return
	}
	if r.used*10 < past && r.wants*2 < r.seen && r.asks == "" {
		r.calm += past
	} else {
		r.calm = 0
	}
	r.period, r.used, r.seen, r.wants = now, 0, 0, 0
}

// doing says what the program is seen at, for who asks while it is waited for.
func (r *rest) doing() string {
	if r.asks != "" {
		return r.asks
	}
	return "it has not come to rest"
}

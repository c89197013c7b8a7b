package loop

import "time"

// Alarm has a function run by the owner at a time. The zero value is not set. It is the owner's.
type Alarm struct {
	timer *time.Timer
	due   time.Time
	f     func()
}

// After has f run in d, unless the alarm is set again or stopped before.
func (l *Loop) After(a *Alarm, d time.Duration, f func()) {
	a.Stop()
	a.due, a.f = time.Now().Add(d), f
	var self *time.Timer
	set := make(chan struct{}) // closed when self is
	self = time.AfterFunc(d, func() {
		<-set
		l.Post(func() {
			if a.timer == self {
				l.late = time.Since(a.due)
				*a = Alarm{}
				f()
			}
		})
	})
	a.timer = self
	close(set)
}

// Postpone makes an alarm that is set go off no sooner than in d.
func (l *Loop) Postpone(a *Alarm, d time.Duration) {
	if a.Set() && time.Until(a.due) < d {
		l.After(a, d, a.f)
	}
}

// Late is how long after its time the alarm went off that is being dealt with.
func (l *Loop) Late() time.Duration { return l.late }

// Set says whether it is to go off.
func (a *Alarm) Set() bool { return a.timer != nil }

// Due is when it goes off.
func (a *Alarm) Due() time.Time { return a.due }

// Becomes has f run in place of what was to be run, at the same time.
func (a *Alarm) Becomes(f func()) { a.f = f }

// Stop keeps it from going off.
func (a *Alarm) Stop() {
	if a.Set() {
		a.timer.Stop()
		*a = Alarm{}
	}
}

// Unchanged returns what tells whether the alarm is still set as it is now.
func (a *Alarm) Unchanged() func() bool {
	now := a.timer
	return func() bool { return a.timer == now }
}

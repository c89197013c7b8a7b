package supervise

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"time"
)

// births are the starts under way, of services and of their commands. Between the fork and the moment at which
// the owner hears of the pid, the process may already have spoken, or have
// died and been reaped. What cannot be told from that is kept until it can.
type births struct {
	underWay int
	early    map[int]exitStatus // exits of children that nobody had claimed
	unheard  []heardMessage     // messages of processes that nobody had claimed
}

// launch starts the process of s. The work is done elsewhere, because it takes
// a millisecond and looks into files; its result comes back as hSpawned or hSpawnError.
func (e *Engine) launch(s *service, _ cause) {
	e.enter(s, Starting, "")
	s.text, s.step, s.failure, s.rewound, s.killed = "", 0, "", false, false
	s.run++
	s.spawning, s.inherited = true, false
	s.watchdog = s.spec.Watchdog
	s.completed, s.extended, s.lastAnswer = false, false, nil
	delete(e.byInvocation, s.invoked)
	s.invoked = newInvocation()
	e.byInvocation[s.invoked] = s
	b := e.newBirth(s)
	e.holdSockets(s)
	b.handover = e.handoverOf(s)
	if e.notify != nil {
		b.notify = e.notify.Address
	}
	began := time.Now()
	e.births.underWay++
	e.note(s)
	e.noted(func(error) { // by its invocation it can be found by a successor who does not know its pid
		e.work(func() func() {
			pid, watch, err := b.start()
			return func() { e.launched(s, &b, began, pid, watch, err) }
		})
	})
}

// launched takes the result of a start in.
func (e *Engine) launched(s *service, b *birth, began time.Time, pid int, watch *watch, err error) {
	s.spawning = false
	s.stream = b.stream
	if b.output != (fileID{}) {
		e.byOutput[b.output] = s
	}
	s.output = b.output
	if err != nil {
		e.claim(0, began)
		e.happen(s, hSpawnError, cause{err: err, text: "spawn error"})
		return
	}
	s.pid, s.session, s.identity, s.startedAt = pid, pid, b.identity, time.Now()
	e.byPID[pid], e.bySession[pid] = s, s
	early, dead := e.claim(pid, began)
	e.happen(s, hSpawned, cause{pid: pid, text: "spawned"})
	e.watchReady(s, watch)
	e.hearAgain()
	if dead {
		e.died(pid, early)
	}
}

// claim says that pid, 0 if there is none, is that of a start that began then. It
// returns how it ended if it has ended already.
func (e *Engine) claim(pid int, began time.Time) (early exitStatus, dead bool) {
	e.births.underWay--
	if pid != 0 {
		early, dead = e.births.early[pid]
		delete(e.births.early, pid)
		dead = dead && !early.at.Before(began) // else that of somebody who had the number before
		e.yield(pid)
		e.disown(pid) // it may have been taken for something left behind
	}
	if e.births.underWay == 0 {
		clear(e.births.early)
	}
	return early, dead
}

// spawned: the program runs.
func (e *Engine) spawned(s *service, _ cause) {
	e.emit(s, Event{Kind: EventState, From: Starting, Reason: "started process " + strconv.Itoa(s.pid)})
}

// spawnedLate: the program runs, but by now it should not.
func (e *Engine) spawnedLate(s *service, _ cause) {
	if !s.holding {
		e.nextStep(s, cause{})
	}
}

// spawnFailed: there is no process. It is treated like one that failed at once.
func (e *Engine) spawnFailed(s *service, why cause) {
	s.exit, s.cause = nil, why.err
	if s.state != Stopping {
		s.failure = why.err.Error()
	}
	s.startedAt = time.Now()
	delete(e.byInvocation, s.invoked)
	e.decide(s, cause{})
}

func newInvocation() string {
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(id[:])
}

package supervise

import (
	"time"

	"github.com/daemonry/daemonry/control"
)

// The states of a service.
const (
	Stopped   = control.Stopped
	Waiting   = control.Waiting
	Starting  = control.Starting
	Ready     = control.Ready
	Stopping  = control.Stopping
	Backoff   = control.Backoff
	Failed    = control.Failed
	Listening = control.Listening
)

// happening is what can happen to a service.
type happening uint8

const (
	hWant       happening = iota // somebody wants it up
	hUnwant                      // somebody wants it down
	hRestart                     // somebody wants it down and up again
	hDepsMet                     // nothing is left to wait for before the start
	hSpawned                     // its program is being executed
	hSpawnError                  // it could not be
	hReady                       // it said so, or was seen to be
	hNotReady                    // it was not ready in time, or cannot become ready
	hExited                      // its main process has ended and its output is on disk
	hGone                        // nothing of it is left
	hDelayOver                   // the delay before the next start is over
	hStepOver                    // the wait after a stop signal is over
	hUnhealthy                   // liveness, watchdog or memory: it must be restarted
	hListening                   // its sockets are open
	hConnection                  // somebody has connected
	hIdle                        // nobody has been connected for long
	hBeside                      // it is to run beside the process of the service that it is to replace
	hDescribed                   // its description has changed
	hPlaced                      // it is known in which state an earlier supervisor has left it
	hCutShort                    // the start that an earlier supervisor had begun has not come about
	hLeftBehind                  // the supervisor ends, and cannot end it
	numHappenings
)

var happeningNames = [numHappenings]string{
	"want", "unwant", "restart", "dependencies met", "spawned", "spawn error", "ready", "not ready", "exited", "gone",
	"delay over", "step over", "unhealthy", "listening", "connection", "idle",
	"beside", "described", "placed", "cut short", "left behind",
}

func (h happening) String() string { return happeningNames[h] }

// reaction is what the engine does when h happens to s. It is given what is known about it.
type reaction func(e *Engine, s *service, why cause)

// cause carries the details of a happening.
type cause struct {
	text  string        // for people
	exit  *control.Exit // of hExited
	err   error         // of hSpawnError
	state control.State // of hPlaced
}

// table has a reaction for each state and happening.
type table map[control.State][numHappenings]reaction

// reactions is the whole behaviour of a service: a row for each state, a column for each happening,
// and no cell empty (state_test.go). ignore stands where something late or superfluous is of no
// consequence; impossible where only a mistake of ours leads, and is reported as one.
func reactions() table {
	return table{
		Stopped: {
			hWant: (*Engine).begin, hUnwant: (*Engine).staysDown, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: impossible, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: (*Engine).launch, hDescribed: ignore, hPlaced: (*Engine).placed, hCutShort: ignore, hLeftBehind: ignore,
		},
		Waiting: {
			hWant: ignore, hUnwant: (*Engine).rest, hRestart: ignore, hDepsMet: (*Engine).launch,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Engine).placed, hCutShort: ignore, hLeftBehind: ignore,
		},
		Starting: {
			hWant: ignore, hUnwant: (*Engine).end, hRestart: (*Engine).end, hDepsMet: ignore,
			hSpawned: (*Engine).spawned, hSpawnError: (*Engine).spawnFailed, hReady: (*Engine).becomeReady, hNotReady: (*Engine).endFailing,
			hExited: (*Engine).exited, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: (*Engine).endFailing,
			hListening: (*Engine).listening, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Engine).placed, hCutShort: (*Engine).startAgain, hLeftBehind: ignore,
		},
		Ready: {
			hWant: ignore, hUnwant: (*Engine).end, hRestart: (*Engine).end, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: (*Engine).reloaded, hNotReady: ignore,
			hExited: (*Engine).exited, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: (*Engine).endFailing,
			hListening: impossible, hConnection: ignore, hIdle: (*Engine).stopIdle,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Engine).placed, hCutShort: ignore, hLeftBehind: ignore,
		},
		Stopping: {
			hWant: (*Engine).comeBack, hUnwant: (*Engine).stayDown, hRestart: (*Engine).comeBack, hDepsMet: ignore,
			hSpawned: (*Engine).spawnedLate, hSpawnError: (*Engine).spawnFailed, hReady: ignore, hNotReady: ignore,
			hExited: (*Engine).exited, hGone: (*Engine).decide, hDelayOver: ignore, hStepOver: (*Engine).nextStep, hUnhealthy: ignore,
			hListening: (*Engine).decide, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Engine).placed, hCutShort: ignore, hLeftBehind: (*Engine).leftBehind,
		},
		Backoff: {
			hWant: (*Engine).begin, hUnwant: (*Engine).rest, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: (*Engine).again, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Engine).placed, hCutShort: ignore, hLeftBehind: ignore,
		},
		Failed: {
			hWant: (*Engine).begin, hUnwant: (*Engine).rest, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: (*Engine).again, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Engine).placed, hCutShort: ignore, hLeftBehind: ignore,
		},
		Listening: {
			hWant: ignore, hUnwant: (*Engine).rest, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: (*Engine).connected, hIdle: ignore,
			hBeside: impossible, hDescribed: (*Engine).demandOver, hPlaced: (*Engine).placed, hCutShort: (*Engine).listenAnew, hLeftBehind: ignore,
		},
	}
}

// happen is the one way by which the state of a service changes.
func (e *Engine) happen(s *service, h happening, why cause) {
	outer := e.changing
	e.changing = s
	e.table[s.state][h](e, s, why)
	e.changing = outer
	if h != hPlaced { // which is what was noted
		e.note(s)
	}
}

// errUnhappened is of a state that changes beside happen.
const errUnhappened = ", and nothing has happened to it"

// set is the one place where a state is set: by the reaction to something that has happened to s.
func (e *Engine) set(s *service, state control.State) {
	if s.state == state {
		return
	}
	if e.changing != s {
		e.o.Trouble(&impossibleError{s.spec.Name, s.state, "it becomes " + string(state) + errUnhappened})
	}
	if isAlive(s.state) != isAlive(state) {
		if e.alive--; isAlive(state) {
			e.alive += 2
		}
	}
	s.state = state
}

// enter changes the state, says so, and wakes who waits for it: those who asked, and the services
// that depend on it.
func (e *Engine) enter(s *service, state control.State, reason string) {
	from := s.state
	e.set(s, state)
	s.reason = reason
	if from == state {
		return
	}
	s.since = time.Now()
	if state != Waiting {
		s.obstacle = obstacle{}
	}
	if state != Stopping {
		delete(e.stopping, s)
	}
	e.emit(s, control.Event{Kind: control.EventState, From: from, Reason: reason})
	if from == Listening {
		e.handover.StopAwaiting(s)
	}
	if state == Stopped || state == Failed && s.spec.Budget.Retry == 0 {
		e.handover.Release(s) // nobody is to come any more
		if !s.isReplacement() && !s.isReplaced() {
			e.handover.Empty(s)
		}
	}
	s.wake()
	e.changedFor(s)
	if s.removed && state == Stopped {
		e.forget(s)
	}
}

// placed puts a service where it was, without any consequence.
func (e *Engine) placed(s *service, why cause) {
	if e.set(s, why.state); why.text != "" {
		s.reason = why.text
	}
}

// knownState is a state that there is; Stopped for one that is not known.
func knownState(state control.State) control.State {
	if _, known := reactions()[state]; known {
		return state
	}
	return Stopped
}

// isAlive says whether a state is one that the engine must not end in.
func isAlive(state control.State) bool { return state != Stopped && state != Failed }

func ignore(*Engine, *service, cause) {}

func impossible(e *Engine, s *service, why cause) {
	e.o.Trouble(&impossibleError{s.spec.Name, s.state, why.text})
}

// impossibleError is a bug of ours that was noticed.
type impossibleError struct {
	name  string
	state control.State
	text  string
}

func (e *impossibleError) Error() string {
	return "service " + e.name + ": this cannot happen while it is " + string(e.state) + ": " + e.text
}

package lifecycle

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
	// it is to run beside the process of the service that it is to replace
	hBeside
	hDescribed // its description has changed
	hPlaced    // it is known in which state an earlier supervisor has left it
	// the start that an earlier supervisor had begun has not come about
	hCutShort
	hLeftBehind // the supervisor ends, and cannot end it
	numHappenings
)

var happeningNames = [numHappenings]string{
	"want", "unwant", "restart", "dependencies met", "spawned", "spawn error", "ready", "not ready",
	"exited", "gone", "delay over", "step over", "unhealthy", "listening", "connection", "idle",
	"beside", "described", "placed", "cut short", "left behind",
}

func (h happening) String() string { return happeningNames[h] }

// reaction is what is done when something happens to s. It is given what is known about it.
type reaction func(s *Service, why cause)

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
			hWant: (*Service).begin, hUnwant: (*Service).staysDown, hRestart: (*Service).begin,
			hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: impossible, hDelayOver: ignore, hStepOver: ignore,
			hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: (*Service).launch, hDescribed: ignore, hPlaced: (*Service).placed,
			hCutShort: ignore, hLeftBehind: ignore,
		},
		Waiting: {
			hWant: ignore, hUnwant: (*Service).rest, hRestart: ignore, hDepsMet: (*Service).launch,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: ignore, hStepOver: ignore,
			hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Service).placed,
			hCutShort: ignore, hLeftBehind: ignore,
		},
		Starting: {
			hWant: ignore, hUnwant: (*Service).end, hRestart: (*Service).endForRestart,
			hDepsMet: ignore, hSpawned: (*Service).spawned, hSpawnError: (*Service).spawnFailed,
			hReady: (*Service).becomeReady, hNotReady: (*Service).endFailing,
			hExited: (*Service).exited, hGone: ignore, hDelayOver: ignore, hStepOver: ignore,
			hUnhealthy: (*Service).endFailing,
			hListening: (*Service).listening, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Service).placed,
			hCutShort: (*Service).startAgain, hLeftBehind: ignore,
		},
		Ready: {
			hWant: ignore, hUnwant: (*Service).end, hRestart: (*Service).endForRestart,
			hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: (*Service).reloaded,
			hNotReady: ignore,
			hExited:   (*Service).exited, hGone: ignore, hDelayOver: ignore, hStepOver: ignore,
			hUnhealthy: (*Service).endFailing,
			hListening: impossible, hConnection: ignore, hIdle: (*Service).stopIdle,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Service).placed,
			hCutShort: ignore, hLeftBehind: ignore,
		},
		Stopping: {
			hWant: (*Service).comeBack, hUnwant: (*Service).stayDown,
			hRestart: (*Service).comeBack, hDepsMet: ignore,
			hSpawned: (*Service).nextStep, hSpawnError: (*Service).spawnFailed,
			hReady: ignore, hNotReady: ignore,
			hExited: (*Service).exited, hGone: (*Service).decide, hDelayOver: ignore,
			hStepOver: (*Service).nextStep, hUnhealthy: ignore,
			hListening: (*Service).decide, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Service).placed,
			hCutShort: ignore, hLeftBehind: (*Service).leftBehind,
		},
		Backoff: {
			hWant: (*Service).begin, hUnwant: (*Service).rest, hRestart: (*Service).begin,
			hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: (*Service).delayOver, hStepOver: ignore,
			hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Service).placed,
			hCutShort: ignore, hLeftBehind: ignore,
		},
		Failed: {
			hWant: (*Service).begin, hUnwant: (*Service).rest, hRestart: (*Service).begin,
			hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: (*Service).delayOver, hStepOver: ignore,
			hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
			hBeside: impossible, hDescribed: ignore, hPlaced: (*Service).placed,
			hCutShort: ignore, hLeftBehind: ignore,
		},
		Listening: {
			hWant: ignore, hUnwant: (*Service).rest, hRestart: (*Service).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: ignore, hStepOver: ignore,
			hUnhealthy: ignore,
			hListening: impossible, hConnection: (*Service).connected, hIdle: ignore,
			hBeside: impossible, hDescribed: (*Service).demandOver, hPlaced: (*Service).placed,
			hCutShort: (*Service).listenAnew, hLeftBehind: ignore,
		},
	}
}

// happen is the one way by which the state of a service changes.
func (s *Service) happen(h happening, why cause) {
	outer := s.shared.changing
	s.shared.changing = s
	s.shared.table[s.state][h](s, why)
	s.shared.changing = outer
	if h != hPlaced { // which is what was noted
		s.owner.Note()
	}
}

// Unhappened is in what is told of a state that changes beside happen.
const Unhappened = ", and nothing has happened to it"

// set is the one place where a state is set: by the reaction to something that has happened to s.
func (s *Service) set(state control.State) {
	if s.state == state {
		return
	}
	if s.shared.changing != s {
		s.shared.Trouble(&impossibleError{s.spec.Name, s.state,
			"it becomes " + string(state) + Unhappened})
	}
	if isAlive(s.state) != isAlive(state) {
		if s.shared.alive--; isAlive(state) {
			s.shared.alive += 2
		}
	}
	s.state = state
}

// enter changes the state, says so, and has the owner wake who waits for it.
func (s *Service) enter(state control.State, reason string) {
	from := s.state
	s.set(state)
	s.reason = reason
	if from == state {
		return
	}
	s.since = time.Now()
	s.emit(control.Event{Kind: control.EventState, From: from, Reason: reason})
	if from == Listening {
		s.shared.Handover.StopAwaiting(s)
	}
	if state == Stopped || state == Failed && s.spec.Budget.Retry == 0 {
		s.shared.Handover.Release(s) // nobody is to come any more
		if s.owner.Role() == Main {
			s.shared.Handover.Empty(s)
		}
	}
	s.owner.Changed()
}

// isAlive says whether a state is one that the engine must not end in.
func isAlive(state control.State) bool { return state != Stopped && state != Failed }

func ignore(*Service, cause) {}

func impossible(s *Service, why cause) {
	s.shared.Trouble(&impossibleError{s.spec.Name, s.state, why.text})
}

// impossibleError is a bug of ours that was noticed.
type impossibleError struct {
	name  string
	state control.State
	text  string
}

func (e *impossibleError) Error() string {
	return "service " + e.name + ": this cannot happen while it is " +
		string(e.state) + ": " + e.text
}

package supervise

// State is where a service stands.
type State uint8

// States.
const (
	Stopped   State = iota // nothing runs and nothing is to run
	Waiting                // to run as soon as other services are ready
	Starting               // its process runs, or is about to, and is not ready yet
	Ready                  // up; or, for a oneshot that remains, done with success
	Stopping               // being ended; what it left behind, too
	Backoff                // crashed, to be started again after a delay
	Failed                 // given up; Status.Reason says why
	Listening              // on demand: its sockets are open, and the first connection starts it
	numStates
)

var stateNames = [numStates]string{"stopped", "waiting", "starting", "ready", "stopping", "backoff", "failed", "listening"}

// String returns the state's name in the API.
func (s State) String() string { return stateNames[s] }

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
	numHappenings
)

var happeningNames = [numHappenings]string{
	"want", "unwant", "restart", "dependencies met", "spawned", "spawn error", "ready", "not ready", "exited", "gone",
	"delay over", "step over", "unhealthy", "listening", "connection", "idle",
}

func (h happening) String() string { return happeningNames[h] }

// reaction is what the engine does when h happens to s. It is given what is known about it.
type reaction func(e *Engine, s *service, why cause)

// cause carries the details of a happening.
type cause struct {
	text string // for people
	exit *Exit  // of hExited
	err  error  // of hSpawnError
}

// table has a reaction for each state and happening.
type table [numStates][numHappenings]reaction

// reactions is the whole behaviour of a service: a row for each state, a column for each happening,
// and no cell empty (state_test.go). ignore stands where something late or superfluous is of no
// consequence; impossible where only a mistake of ours leads, and is reported as one.
func reactions() *table {
	return &table{
		Stopped: {
			hWant: (*Engine).begin, hUnwant: (*Engine).staysDown, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: impossible, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
		},
		Waiting: {
			hWant: ignore, hUnwant: (*Engine).rest, hRestart: ignore, hDepsMet: (*Engine).launch,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
		},
		Starting: {
			hWant: ignore, hUnwant: (*Engine).end, hRestart: (*Engine).end, hDepsMet: ignore,
			hSpawned: (*Engine).spawned, hSpawnError: (*Engine).spawnFailed, hReady: (*Engine).becomeReady, hNotReady: (*Engine).condemn,
			hExited: (*Engine).exited, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: (*Engine).condemn,
			hListening: (*Engine).listening, hConnection: ignore, hIdle: ignore,
		},
		Ready: {
			hWant: ignore, hUnwant: (*Engine).end, hRestart: (*Engine).end, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: (*Engine).reloaded, hNotReady: ignore,
			hExited: (*Engine).exited, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: (*Engine).condemn,
			hListening: impossible, hConnection: ignore, hIdle: (*Engine).stopIdle,
		},
		Stopping: {
			hWant: (*Engine).comeBack, hUnwant: (*Engine).stayDown, hRestart: (*Engine).comeBack, hDepsMet: ignore,
			hSpawned: (*Engine).spawnedLate, hSpawnError: (*Engine).spawnFailed, hReady: ignore, hNotReady: ignore,
			hExited: (*Engine).exited, hGone: (*Engine).decide, hDelayOver: ignore, hStepOver: (*Engine).nextStep, hUnhealthy: ignore,
			hListening: (*Engine).decide, hConnection: ignore, hIdle: ignore,
		},
		Backoff: {
			hWant: (*Engine).begin, hUnwant: (*Engine).rest, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: (*Engine).again, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
		},
		Failed: {
			hWant: (*Engine).begin, hUnwant: (*Engine).rest, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: (*Engine).again, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: ignore, hIdle: ignore,
		},
		Listening: {
			hWant: ignore, hUnwant: (*Engine).rest, hRestart: (*Engine).begin, hDepsMet: ignore,
			hSpawned: impossible, hSpawnError: impossible, hReady: ignore, hNotReady: ignore,
			hExited: impossible, hGone: ignore, hDelayOver: ignore, hStepOver: ignore, hUnhealthy: ignore,
			hListening: impossible, hConnection: (*Engine).connected, hIdle: ignore,
		},
	}
}

// happen is the one way by which anything changes a service.
func (e *Engine) happen(s *service, h happening, why cause) {
	e.table[s.state][h](e, s, why)
	e.note(s)
}

func ignore(*Engine, *service, cause) {}

func impossible(e *Engine, s *service, why cause) {
	e.o.Trouble(&impossibleError{s.spec.Name, s.state, why.text})
}

// impossibleError is a bug of ours that was noticed.
type impossibleError struct {
	name  string
	state State
	text  string
}

func (e *impossibleError) Error() string {
	return "service " + e.name + ": this cannot happen while it is " + e.state.String() + ": " + e.text
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/server"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/sys"
)

// lostError says that a supervisor lives whose socket nobody finds.
type lostError struct {
	pid    int // 0 if it is not known
	state  string
	socket string
}

func (e *lostError) Error() string {
	who := "a supervisor"
	if e.pid != 0 {
		who = fmt.Sprintf("the supervisor, process %d,", e.pid)
	}
	return fmt.Sprintf("%s runs and holds the lock in %s, and cannot be reached: there is no %s", who, e.state, e.socket)
}

// lostTime is how long a supervisor that holds its lock may take to show its socket: at its start,
// and when it makes it anew.
const lostTime = 4 * time.Second

// session finds the supervisor. One that is there and does not answer is an error, so that no
// command waits for it. A socket that somebody else could have planted is not looked at. While a
// supervisor holds its lock it is never said to be absent: one whose runtime directory was removed
// makes another one, which takes a moment.
func (a *app) session() (*session, error) {
	p, err := paths.Find()
	places := p.Places(os.Getenv, os.Geteuid())
	if err != nil && len(places) == 0 {
		return nil, err
	}
	if err == nil {
		if err := p.Check(); err != nil && !errors.Is(err, fs.ErrNotExist) && p.Rooted() {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lostTime)
	defer cancel()
	for {
		at, refused := present(ctx, places)
		s := heedfulSession(at)
		if at != (paths.Paths{}) && !refused {
			return s, silence(context.Background(), at, answerTime)
		}
		if at == (paths.Paths{}) {
			at = p
			if p.Check() != nil && !p.Rooted() && len(places) > 0 {
				at = places[0]
			}
			s = heedfulSession(at)
		}
		lost := holder(append(places, p), at)
		switch {
		case lost == nil && refused:
			return s, nil // to be asked, and to refuse: it was killed
		case lost == nil:
			return s, &control.UnreachableError{Address: at.Socket(), Err: fs.ErrNotExist}
		case ctx.Err() != nil:
			return s, lost
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond): // nothing tells of a socket that somebody else makes
		}
		places = p.Places(os.Getenv, os.Geteuid())
	}
}

// present is where somebody answers a connection, or else where somebody did: refused says that
// nobody does any more.
func present(ctx context.Context, places []paths.Paths) (at paths.Paths, refused bool) {
	for _, p := range places {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", p.Socket())
		switch {
		case err == nil:
			_ = conn.Close()
			return p, false
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, syscall.ECONNREFUSED):
			if !refused {
				at, refused = p, true
			}
		default: // somebody is there who does not answer, or we may not ask
			return p, false
		}
	}
	return at, refused
}

// holder finds a supervisor that lives and is not where at says. Those of a "run" have their state
// elsewhere.
func holder(places []paths.Paths, at paths.Paths) *lostError {
	for _, p := range places {
		for _, state := range []string{p.State, foregroundState(p)} {
			if pid, held := server.Holder(state); state != "" && held {
				return &lostError{pid: pid, state: state, socket: at.Socket()}
			}
		}
	}
	return nil
}

// stopLost ends a supervisor that cannot be asked to end.
func (a *app) stopLost(ctx context.Context, lost *lostError) error {
	if lost.pid == 0 {
		return failure(lost, exitFailed, nil)
	}
	process, err := sys.Pin(lost.pid)
	if err != nil {
		return failure(err, exitFailed, nil)
	}
	defer process.Close()
	// That it is still the one that holds the lock: a pid alone proves nothing.
	if pid, held := server.Holder(lost.state); !held || pid != lost.pid {
		return failure(errors.New("the supervisor was exchanged meanwhile"), exitFailed, nil)
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		return failure(fmt.Errorf("%w; SIGTERM: %w", lost, err), exitFailed, nil)
	}
	if err := process.Wait(ctx); err != nil {
		return interrupted(ctx, err, "the supervisor to end")
	}
	_, err = fmt.Fprintf(a.out, "supervisor: stopped: process %d\n", lost.pid)
	return err
}

// again has s be the supervisor that is there now, wherever that is.
func (a *app) again(s *session) error {
	now, err := a.session()
	if err == nil {
		*s = *now
	}
	return err
}

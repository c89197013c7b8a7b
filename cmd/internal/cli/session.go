package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/server"
	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
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
	return fmt.Sprintf("%s runs and holds the lock in %s, and cannot be reached: there is no %s",
		who, e.state, e.socket)
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
			return s, silence(context.Background(), s.Client, at, answerTime)
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
		case <-time.After(10 * time.Millisecond):
			// nothing tells of a socket that somebody else makes
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

// again has s be the supervisor that is there now, wherever that is.
func (a *app) again(s *session) error {
	now, err := a.session()
	if err == nil {
		*s = *now
	}
	return err
}

// session is this user's supervisor, as far as there is one.
type session struct {
	*control.Client
	paths paths.Paths
}

// absent says that no supervisor is there, in distinction to one that does not answer.
func absent(err error) bool {
	var u *control.UnreachableError
	return errors.As(err, &u) &&
		(errors.Is(u.Err, fs.ErrNotExist) || errors.Is(u.Err, syscall.ECONNREFUSED))
}

var errNoSupervisor = errors.New("no supervisor is running")

// ensured is a session with a supervisor that answers: the one that is there, or a new one.
func (a *app) ensured(ctx context.Context) (*session, error) {
	s, err := a.session()
	if err == nil {
		if _, err = s.Supervisor(ctx); err == nil {
			return s, nil
		}
	}
	// one that is dying is about to be absent
	if s == nil || !absent(err) && !(broken(err) && s.killed(ctx)) {
		return nil, failure(err, exitOurs, nil)
	}
	byInit, err := a.startBootService(ctx, s)
	if err == nil && !byInit {
		err = a.launchSupervisor(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// reached is session for what concerns services. If the last supervisor was killed, another one is
// started first: the services run, and only a supervisor that has taken them over can be asked
// about them.
func (a *app) reached() (*session, error) {
	s, err := a.session() // err is also that it does not answer
	if err != nil && !absent(err) {
		return s, err
	}
	ctx, done := untilSignal()
	defer done()
	if !s.orphaned(ctx) {
		return s, err
	}
	return a.ensured(ctx)
}

// orphaned says whether a supervisor was killed that we can put another one in the place of. That
// of a "run" has a file to say what it runs, which we do not know.
func (s *session) orphaned(ctx context.Context) bool { return !s.ofRun() && s.killed(ctx) }

// ofRun says whether the supervisor is, or was, that of a "run", which takes its state along when
// it ends.
func (s *session) ofRun() bool {
	return supervise.Owned(foregroundState(s.paths)) && !supervise.Owned(s.paths.State)
}

// killed says whether the supervisor was killed: one that ends takes its socket along. Where that
// was removed as well, with all of the runtime directory, the state directory tells that services
// were left.
func (s *session) killed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, appearTime)
	defer cancel()
	tick := time.Tick(10 * time.Millisecond)
	for {
		_, err := s.Supervisor(ctx)
		if !broken(err) {
			return errors.Is(err, syscall.ECONNREFUSED) ||
				absent(err) && supervise.CutOff(s.paths.State)
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick: // it is dying: its socket is about to refuse
		}
	}
}

// broken says whether somebody was there and is not any more.
func broken(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// appearTime is how long a supervisor that another command starts may take to answer.
const appearTime = 2 * time.Second

// appear waits until a supervisor answers. Nothing else tells of one that somebody else starts, so
// it is asked for.
func (a *app) appear(ctx context.Context, s *session, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.Tick(10 * time.Millisecond)
	for {
		err := a.again(s)
		if err == nil {
			_, err = s.Supervisor(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick:
		}
	}
}

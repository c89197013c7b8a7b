package upgrade

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// Error says why an upgrade failed and the running process goes on.
type Error struct {
	// Program is the file that was to be executed.
	Program string
	// PID is that of the new process, 0 if none was started. It is gone.
	PID int
	// Err is the reason. It wraps context.DeadlineExceeded after Options.Timeout, ErrOlder for an
	// older program, the errno of execve(2) if it could not be executed, or the cause of the
	// context.
	Err error
	// Output are the last words of the new process on standard error: of a panic or another fatal
	// error the first 10 lines and, after a line "printed before:", the last 5 that came before;
	// otherwise the last 10 lines. A line has at most 1 KiB.
	Output string
}

// Error is one line about what happened, followed by the new program's last lines.
func (e *Error) Error() string {
	s := fmt.Sprintf("upgrade to %s: %v", e.Program, e.Err)
	if e.Output != "" {
		s += "\n" + e.Output
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Upgrade starts the program's file anew and returns nil when the new process has taken over; Exit
// is closed then, or Options.Pause later. Otherwise nothing has changed, nothing is left of the new
// process but what it started itself, and the error is an *Error, or wraps ErrInProgress,
// ErrNotReady or ErrReplaced. When ctx ends before the new process has taken over, it is ended.
//
// One other error there is: the new process has taken over, and the manager could not be told.
func (u *Upgrader) Upgrade(ctx context.Context) error {
	if err := u.begin(); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	defer u.watch.Done()
	a := &attempt{u: u}
	ctx, cancel := u.patience(ctx)
	defer cancel()
	if _, err := u.o.Notify.Reloading(); err != nil {
		return u.end(&Error{Program: u.program, Err: fmt.Errorf("tell the manager: %w", err)})
	}
	err := a.run(ctx)
	if err == nil {
		if err = errors.Join(a.successor.LetGo(), u.sayReplaced(a.successor.PID)); err != nil {
			err = fmt.Errorf(
				"upgrade: process %d serves now, but the manager could not be told: %w",
				a.successor.PID, err,
			)
		}
		return errors.Join(u.end(nil), err)
	}
	failed := &Error{Program: u.program, Err: err}
	if a.successor != nil {
		failed.PID = a.successor.PID
	}
	if a.words != nil {
		failed.Output = a.words.last()
	}
	return u.end(failed)
}

func (u *Upgrader) begin() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-u.stop:
		return ErrNotReady
	default:
	}
	switch u.phase {
	case serving:
		u.phase = upgrading
		u.watch.Add(1)
		return nil
	case upgrading:
		return ErrInProgress
	case replaced:
		return ErrReplaced
	}
	return ErrNotReady
}

// end settles what the upgrade has come to, here and with the manager.
func (u *Upgrader) end(failed *Error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if failed != nil {
		u.phase = serving
		if err := u.sayFailed(failed.Err); err != nil {
			return fmt.Errorf("%w (and tell the manager: %w)", failed, err)
		}
		return failed
	}
	u.phase = replaced
	err := each(spawn.Handovers(), func(l spawn.Handover) func() error { return l.Retire })
	if u.o.Pause <= 0 {
		close(u.exit)
	} else {
		u.watch.Go(u.exitLater)
	}
	return err
}

// exitLater closes exit after the pause, or when the program has ended without waiting for it.
func (u *Upgrader) exitLater() {
	defer close(u.exit)
	over := time.NewTimer(u.o.Pause)
	defer over.Stop()
	select {
	case <-over.C:
	case <-u.stop:
	}
}

// attempt is one upgrade: a successor from its start until it has taken over or is gone.
type attempt struct {
	u         *Upgrader
	words     *words
	successor *spawn.Successor

	messages chan []byte // closed when it has nothing more to say
	unheard  error       // why what it says is none; listen's until messages is closed
	known    bool        // it has called New
	gone     bool        // it was told to take over
}

func (a *attempt) run(ctx context.Context) error {
	if err := a.u.check(ctx); err != nil {
		return err
	}
	if err := a.start(ctx); err != nil {
		return err
	}
	a.messages = make(chan []byte)
	quit := make(chan struct{})
	go a.listen(quit)
	err := a.await(ctx)
	if err == nil {
		return nil // the channel stays open: its end tells the successor that we have ended
	}
	close(quit)
	return a.undo(err)
}

// patience is ctx with the time allowed for an upgrade. It ends with this process's own work, too.
func (u *Upgrader) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		select {
		case <-u.stop:
			end(errors.New("this process is ending"))
		case <-stopped:
		}
	}()
	limit := cmp.Or(u.o.Timeout, defaultTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &notReadyError{after: limit})
	return ctx, func() { cancel(); end(nil); close(stopped) }
}

func (a *attempt) start(ctx context.Context) error {
	u := a.u
	u.mu.Lock()
	sockets, notes, owned, err := u.dupSockets()
	u.mu.Unlock()
	if err != nil {
		return err
	}
	defer closeFiles(sockets)
	if a.words, err = newWords(); err != nil {
		return err
	}
	spec := &spawn.Spec{
		Path:  u.program,
		Args:  append([]string{os.Args[0]}, u.o.Args...),
		Env:   u.o.Env,
		Files: []spawn.File{{FD: 1, Source: os.Stdout}, {FD: 2, Source: a.words.in}},
	}
	if u.o.Args == nil {
		spec.Args = os.Args
	}
	if spec.Env == nil {
		spec.Env = os.Environ()
	}
	for i, f := range sockets {
		spec.Files = append(spec.Files, spawn.File{FD: 3 + i, Source: f})
		spec.ListenNames = append(spec.ListenNames, notes[i].Name)
	}
	u.giving = func() ([]byte, []*os.File) { return u.pack(owned, a.words.out) }
	a.successor, err = spawn.StartSuccessorApart(ctx, spec, os.Stdin, spawn.Handovers())
	if err != nil {
		a.words.abandon()
		return err
	}
	a.words.follow()
	return nil
}

func (u *Upgrader) pack(owned []socketNote, words *os.File) ([]byte, []*os.File) {
	n := note{Version: u.o.Version, PID: os.Getpid(), Program: u.program, Sockets: owned}
	var files []*os.File
	add := func(what string, f *os.File) {
		n.Files, files = append(n.Files, what), append(files, f)
	}
	add(fileStderr, os.Stderr)
	add(fileWords, words)
	if u.pidfile != nil {
		n.PIDFile = u.o.PIDFile
		add(filePID, u.pidfile.File())
	}
	if w := u.heritage.waiter; w != nil {
		add(fileWaiter, w)
	}
	data, err := json.Marshal(n)
	if err != nil {
		panic(err) // texts and numbers: it cannot be
	}
	return data, files
}

// listen receives what the successor says. It ends when that has closed its end.
func (a *attempt) listen(quit chan struct{}) {
	defer close(a.messages)
	for {
		m, err := a.successor.Receive()
		if err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				a.unheard = fmt.Errorf("hear the new program: %w", err)
			}
			return
		}
		select {
		case a.messages <- m:
		case <-quit: // nobody listens any more, but it may have to say something to be able to end
		}
	}
}

// await returns nil when the successor has taken over, and else what was first: it failed, it
// ended, it is out of time, it is not wanted any more.
func (a *attempt) await(ctx context.Context) error {
	ended, watched := make(chan struct{}), make(chan struct{})
	watch, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		<-watched // one may wait at a time, and the next is end
	}()
	go func() {
		defer close(watched)
		if a.successor.Wait(watch) == nil {
			close(ended)
		}
	}()
	for messages := a.messages; ; {
		select {
		case m, ok := <-messages:
			if !ok {
				if a.unheard != nil {
					return a.unheard
				}
				messages = nil // it has ended, or will be out of time
				continue
			}
			if done, err := a.heard(m); done || err != nil {
				return err
			}
		case <-ended:
			return a.lastMessage(messages)
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if late, ok := errors.AsType[*notReadyError](cause); ok {
				return &notReadyError{pid: a.successor.PID, after: late.after, known: a.known}
			}
			return cause
		}
	}
}

// heard deals with one message; done says that the successor has taken over.
func (a *attempt) heard(m []byte) (done bool, err error) {
	if len(m) == 0 {
		return false, nil
	}
	switch m[0] {
	case sayHello:
		a.known = true
	case sayReady:
		a.gone = true
		a.words.leave() // from here on it reads them itself
		if err := spawn.UnlessClosed(a.successor.Send([]byte{sayGo})); err != nil {
			return false, err
		}
	case sayFailed:
		return false, decodeFailure(m)
	case sayTook:
		return true, nil
	}
	return false, nil
}

// decodeFailure reads what the daemonry package's Fail sends: a status and the text.
func decodeFailure(m []byte) error {
	text := m[1:]
	if _, n := binary.Varint(text); n > 0 {
		text = text[n:]
	}
	return fmt.Errorf("the new program: %s", text)
}

// lastMessage hears what a successor said just before it ended, and says how it ended otherwise.
func (a *attempt) lastMessage(messages <-chan []byte) error {
	// What it forked may have the channel open. Where this cannot be done nothing better can.
	_ = a.successor.HearNoMore()
	for messages != nil {
		m, ok := <-messages
		if !ok {
			break
		}
		if len(m) > 0 && m[0] == sayFailed {
			return decodeFailure(m)
		}
	}
	return errEnded
}

// errEnded stands for the end of the new process; how it ended is known when it is reaped.
var errEnded = errors.New("it ended before it was ready")

// undo ends the successor and everything about it.
func (a *attempt) undo(cause error) error {
	exit, err := a.end()
	switch {
	case err != nil:
		cause = sys.Also(cause, err)
	case cause == errEnded:
		cause = fmt.Errorf("process %d %v before it was ready", a.successor.PID, exit)
	}
	if a.successor.HearNoMore() == nil || err == nil { // else it lives, and may never say anything
		for range a.messages {
		}
	}
	a.words.finish()
	var errs []error
	if a.gone {
		for _, l := range spawn.Handovers() {
			if l.Resume != nil {
				errs = append(errs, l.Resume())
			}
		}
	}
	for _, err := range append(errs, a.successor.Close()) {
		cause = sys.Also(cause, err)
	}
	return cause
}

// end kills the successor, politely first, and reaps it.
func (a *attempt) end() (spawn.Exit, error) {
	grace := cmp.Or(a.u.o.KillGrace, defaultKillGrace)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	// A stopped process gets no SIGTERM before it continues.
	err := errors.Join(a.successor.Signal(sys.SIGTERM), a.successor.Signal(sys.SIGCONT))
	if a.successor.Wait(ctx) != nil {
		undead := fmt.Errorf("process %d was killed %v ago and is not gone", a.successor.PID,
			deathWait)
		killed, cancel := context.WithTimeoutCause(context.Background(), deathWait, undead)
		defer cancel()
		err = errors.Join(err, a.successor.Signal(sys.SIGKILL), a.successor.Wait(killed))
	}
	if err != nil {
		return spawn.Exit{}, errors.Join(err, a.successor.LetGo())
	}
	return a.successor.Reap()
}

// deathWait is how long a killed process may take to be gone: one that sleeps in the kernel (state
// D of proc(5)) does so only when what it waits for answers. It executes nothing any more.
const deathWait = 10 * time.Second

// notReadyError is the reason of a time-out.
type notReadyError struct {
	pid   int // 0: there was none yet
	after time.Duration
	known bool
}

func (e *notReadyError) Error() string {
	if e.pid == 0 {
		return fmt.Sprintf("not ready within %v", e.after)
	}
	what := "called neither upgrade.New nor Ready"
	if e.known {
		what = "did not say that it is ready"
	}
	return fmt.Sprintf("process %d %s within %v", e.pid, what, e.after)
}

func (e *notReadyError) Unwrap() error { return context.DeadlineExceeded }

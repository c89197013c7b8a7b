package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/spec"
)

// stateVersion is the version of the files below. A supervisor reads its own version and those
// before. One that does not know the version, or a field, does not start, and leaves the files as
// they are.
const stateVersion = 2

// The state files. What there is changes seldom and is large; what is wanted of it, often and
// small.
const (
	specsFile = "services.json"
	wantsFile = "wanted.json"
)

// storedSpecs is services.json: what there is. It changes with "up", "start
// -- PROGRAM" and "remove".
type storedSpecs struct {
	Version  int             `json:"version"`
	Services []storedService `json:"services"`
}

type storedService struct {
	Source string       `json:"source,omitzero"`
	Spec   spec.Service `json:"spec"`
	// Environ names the file with the environment of the command that described it; empty: the
	// supervisor's own.
	Environ string `json:"environ,omitzero"`
}

// storedWants is wanted.json: what is to be up, and what was stopped by hand.
type storedWants struct {
	Version int      `json:"version"`
	Wanted  []string `json:"wanted"`
	Held    []string `json:"held"`
}

// store keeps the state files up to date. A write is done away from the owner, one at a time; what
// changes meanwhile is written together after it. While the directory cannot be
// written, it is tried again and again, and with each further change.
type store struct {
	replace func(name string, v any) error

	specs, wants bool   // differ from what is on disk
	last         uint64 // counts changes of descriptions
	described    uint64 // of those, the last that is on disk
	writing      bool
	waiting      []chan error // to be told of the next write that begins
	failing      error        // why the last write failed; nil if it did not
	pause        time.Duration
	retry        *time.Timer
	ballast      *ballast // may be nil
	onBallast    bool     // it is in use, which was told
}

// NotSavedError says that something was done, and would be forgotten if the supervisor ended now.
type NotSavedError struct{ Err error }

func (e *NotSavedError) Error() string {
	return fmt.Sprintf("done, but not on disk: a restarted supervisor would not know it: %v", e.Err)
}

// Unwrap returns why the file could not be written.
func (e *NotSavedError) Unwrap() error { return e.Err }

// First and longest pause before a write that failed is tried again.
const (
	firstStorePause   = time.Second
	longestStorePause = time.Minute
)

// changed has what is wanted written, and with specs also what there is. What it returns has
// room for the answer: nil when it is on disk.
func (e *Engine) changed(specs bool) <-chan error {
	saved := make(chan error, 1)
	e.store.wants = true
	e.store.specs = e.store.specs || specs
	e.store.waiting = append(e.store.waiting, saved)
	e.writeState()
	return saved
}

// noteChanged is changed for what nobody waits for.
func (e *Engine) noteChanged() {
	e.store.wants = true
	e.writeState()
}

// writeState begins a write, unless one is under way or there is nothing to write.
func (e *Engine) writeState() {
	st := &e.store
	if st.writing || !st.specs && !st.wants {
		return
	}
	st.writing = true
	files, last := e.stateFiles(), st.last
	var environs map[string]*environment
	if st.specs {
		environs = e.usedEnvirons()
	}
	waiting := st.waiting
	st.specs, st.wants, st.waiting = false, false, nil
	// The journal is never behind these files: what it says of a service counts.
	e.noted(func(error) {
		go func() {
			err := e.writeFiles(files, environs)
			e.post(func() {
				if err == nil && len(files) > 1 {
					st.described = last
				}
				e.wrote(files, waiting, err)
			})
		}()
	})
}

// stateFile is a file's name and content. Descriptions are replaced and never changed in place, so
// that they can be read elsewhere.
type stateFile struct {
	name    string
	content any
}

func (e *Engine) stateFiles() (files []stateFile) {
	if e.store.specs {
		stored := storedSpecs{Version: stateVersion}
		for _, s := range e.sorted() {
			if !s.removed {
				stored.Services = append(stored.Services, storedService{Source: s.source, Spec: s.spec, Environ: s.environ.name()})
			}
		}
		files = append(files, stateFile{specsFile, stored})
	}
	stored := storedWants{Version: stateVersion}
	for _, s := range e.sorted() {
		if s.wanted {
			stored.Wanted = append(stored.Wanted, s.spec.Name)
		}
		if s.held {
			stored.Held = append(stored.Held, s.spec.Name)
		}
	}
	return append(files, stateFile{wantsFile, stored})
}

// writeFiles writes the environments that files name, and then those.
func (e *Engine) writeFiles(files []stateFile, environs map[string]*environment) error {
	for _, v := range environs {
		if err := e.kept.save(v); err != nil {
			return err
		}
	}
	if err := e.store.write(files); err != nil {
		return err
	}
	if environs == nil {
		return nil
	}
	if err := e.kept.sweep(environs); err != nil {
		e.o.Trouble(fmt.Errorf("environments that nobody has any more: %w", err))
	}
	return nil
}

func (st *store) write(files []stateFile) error {
	for _, f := range files {
		if err := st.ballast.spare(func() error { return st.replace(f.name, f.content) }); err != nil {
			return err
		}
	}
	_ = st.ballast.fill() // if there is room again
	return nil
}

func (e *Engine) replaceFile(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return atomicfile.Write(filepath.Join(e.o.StateDir, name), append(data, '\n'), 0o600)
}

// wrote takes in how a write ended.
func (e *Engine) wrote(files []stateFile, waiting []chan error, err error) {
	st := &e.store
	st.writing = false
	for _, w := range waiting {
		w <- err
	}
	if err == nil {
		if st.failing != nil {
			e.emit(nil, Event{Kind: EventTrouble, Reason: "what is wanted is on disk again"})
		}
		st.failing, st.pause = nil, 0
		e.tellBallast(&st.onBallast, st.ballast)
		e.writeState()
		return
	}
	st.wants = true
	st.specs = st.specs || len(files) > 1
	if st.failing == nil || st.failing.Error() != err.Error() {
		e.o.Trouble(fmt.Errorf("what is wanted is not on disk: %w", err))
		e.emit(nil, Event{Kind: EventTrouble, Reason: "what is wanted is not on disk: " + err.Error()})
	}
	st.failing = err
	if len(st.waiting) > 0 {
		e.writeState() // somebody has come meanwhile and wants to know
		return
	}
	st.pause = min(max(2*st.pause, firstStorePause), longestStorePause)
	if st.retry != nil {
		st.retry.Stop()
	}
	st.retry = time.AfterFunc(st.pause, func() { e.post(e.writeState) })
}

// flush writes at the end what could not be written before.
func (e *Engine) flush() error {
	if e.store.retry != nil {
		e.store.retry.Stop()
	}
	if !e.store.specs && !e.store.wants {
		return nil
	}
	if err := e.writeFiles(e.stateFiles(), e.flushed()); err != nil {
		return fmt.Errorf("what is wanted is not on disk: %w", err)
	}
	return nil
}

// flushed are the environments to be written at the end, nil if descriptions are not.
func (e *Engine) flushed() map[string]*environment {
	if !e.store.specs {
		return nil
	}
	return e.usedEnvirons()
}

// awaitSaved waits until a change is on disk.
func (e *Engine) awaitSaved(ctx context.Context, saved <-chan error) error {
	if saved == nil {
		return nil
	}
	var err, end error
	select {
	case err = <-saved:
	case <-ctx.Done():
		end = context.Cause(ctx)
	case <-e.loop.Ended():
		end = ErrClosed
	}
	if end != nil {
		select {
		case err = <-saved: // before the end
		default:
			return end
		}
	}
	if err != nil {
		return &NotSavedError{err}
	}
	return nil
}

// Restore takes in what an earlier supervisor has left, which New has read: services that run, with
// all that was known of them, and what else is wanted, which is started. It is for before Run.
func (e *Engine) Restore() {
	l := e.legacy
	e.legacy = legacy{}
	for _, stored := range l.specs.Services {
		e.add(e.newService(service{spec: stored.Spec.WithDefaults(), source: stored.Source, environ: e.environOf(stored.Environ), since: time.Now()}))
	}
	for _, name := range l.wants.Held {
		if s := e.byName[name]; s != nil {
			s.held = true
		}
	}
	var up []*service
	for _, name := range l.wants.Wanted {
		if s := e.byName[name]; s != nil {
			up = append(up, s)
		}
	}
	e.takeOver(l, up)
}

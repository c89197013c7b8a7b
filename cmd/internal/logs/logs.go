// Package logs drains what services print into files, rotates them, and never blocks a service.
//
// An Engine holds, for every service, one FIFO whose writing end is the service's standard output
// and error (Stream.ServiceEnd). A small fixed number of workers wait for all of them together; a
// service that says nothing costs a descriptor and a few hundred bytes, no goroutine and no buffer.
//
// Nothing is lost or written twice when the engine's process is killed, at whatever instruction:
// the FIFO lives on in the service's own hands, and what has been taken out of it stands in a slot
// (package stage) until it is in the file. The engine that is started next, with the same
// Options.Dir, finishes the slot when the stream is opened again and goes on reading.
package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
	"github.com/daemonry/daemonry/cmd/internal/logs/target"
)

// ErrClosed is returned for whatever is asked of a closed Engine or Stream.
var ErrClosed = errors.New("log engine: closed")

// Options configures an Engine. Dir is required.
type Options struct {
	// Dir is the runtime directory in which FIFOs and slots live. It is made with mode 0700 if it
	// is missing and must belong to us and to nobody else. At most one Engine may use it at a time;
	// the caller sees to that with its own lock.
	Dir string

	// Workers is the number of threads that carry output. 0: one for each CPU, at most 4.
	Workers int

	// Console is where targets of the kind Console write; without Console.File there are none.
	Console target.Console

	// StartProgram starts the command of a target of the kind Program for the stream id, with the
	// given standard input, and returns a channel that is closed when it has ended. Nil: there are
	// no such targets.
	StartProgram func(id, command string, stdin *os.File) (exited <-chan struct{}, err error)

	// Budget bounds the size of all logs together, in bytes: at the start and at each rotation the
	// oldest rotated files go until they are within it. Current files are never touched. 0: no
	// bound. All logs are those of open streams, and those in LogDir whoever they were of; LogDir
	// may be empty.
	Budget int64
	LogDir string

	// Group is the numeric group of the log files and directories that are made; 0 leaves it to the
	// system.
	Group int

	// Trouble, if not nil, is told when a stream's log cannot be written (err) and when it can
	// again (nil). The id is empty for what several streams share: a syslog server, the journal,
	// the compression of old files. It is called by the goroutines that carry the output and must
	// not wait for anything.
	Trouble func(id string, err error)
}

// Engine carries the output of any number of services. Its methods may be called from any
// goroutine.
type Engine struct {
	opts    Options
	dir     atomic.Pointer[string] // Options.Dir, until Remake
	workers []*worker              // for logs on file systems of this machine
	wg      sync.WaitGroup

	flushing sync.WaitGroup // senders on their way out
	upkeep   *upkeep

	mu      sync.Mutex
	streams map[string]*Stream
	files   map[string]*Stream // by the path of the log
	senders map[Target]*sender
	left    map[source]*stage.Slot // what an earlier engine did not finish
	slots   int                    // slot files made, for their names
	opened  int                    // streams opened, to spread them over the workers
	apart   []*worker              // for other logs (workerApart)
	remote  int                    // streams opened for those
	closed  bool
}

// New starts an engine and takes over the slots that an earlier one left in opts.Dir.
func New(opts Options) (*Engine, error) {
	e, err := newEngine(opts)
	if err != nil {
		return nil, fmt.Errorf("log engine: %w", err)
	}
	return e, nil
}

func newEngine(opts Options) (*Engine, error) {
	if opts.Workers <= 0 {
		opts.Workers = min(4, runtime.GOMAXPROCS(0))
	}
	e := &Engine{
		opts:    opts,
		streams: make(map[string]*Stream),
		files:   make(map[string]*Stream),
		senders: make(map[Target]*sender),
		left:    make(map[source]*stage.Slot),
	}
	e.upkeep = &upkeep{e: e, jobs: make(map[string]task), known: make(map[string]bool)}
	e.dir.Store(&opts.Dir)
	for _, d := range []string{opts.Dir, e.fifoDir(), e.errDir(), e.stageDir()} {
		if err := ownDir(d); err != nil {
			return nil, err
		}
	}
	if err := e.loadSlots(); err != nil {
		return nil, err
	}
	for range opts.Workers {
		w, err := newWorker(e)
		if err != nil {
			for _, w := range e.workers {
				w.release()
			}
			return nil, err
		}
		e.workers = append(e.workers, w)
	}
	for _, w := range e.workers {
		e.wg.Go(w.run)
	}
	e.upkeep.start()
	return e, nil
}

// FIFODirs are where the FIFOs are that services print into, below Options.Dir: in the second those
// of errors that are kept apart.
func FIFODirs(dir string) []string {
	return []string{filepath.Join(dir, "fifo"), filepath.Join(dir, "fifo2")}
}

func (e *Engine) fifoDir() string  { return FIFODirs(*e.dir.Load())[0] }
func (e *Engine) errDir() string   { return FIFODirs(*e.dir.Load())[1] }
func (e *Engine) stageDir() string { return filepath.Join(*e.dir.Load(), "stage") }

// ownDir makes the directory, or checks that the one that is there lets in nobody but us: whoever
// can open a FIFO in it can read a service's output and forge it.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("not a directory")}
	}
	if perm := fi.Mode().Perm(); perm&0o077 != 0 {
		return &fs.PathError{Op: "mkdir", Path: dir,
			Err: fmt.Errorf("others have access to it (mode %04o, want 0700)", perm)}
	}
	return nil
}

// loadSlots takes over the slots in the stage directory. Those with nothing in them are removed.
func (e *Engine) loadSlots() error {
	entries, err := os.ReadDir(e.stageDir())
	if err != nil {
		return err
	}
	for _, d := range entries {
		path := filepath.Join(e.stageDir(), d.Name())
		n, _ := strconv.Atoi(strings.TrimPrefix(d.Name(), slotPrefix))
		e.slots = max(e.slots, n)
		s, err := stage.Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.Remove(path)
		}
		if err != nil {
			return err // removing what cannot be understood would lose output
		}
		if s == nil {
			continue
		}
		if s.Phase() == stage.Idle && s.Drop().Bytes == 0 {
			if err := s.Remove(); err != nil {
				return err
			}
			continue
		}
		if err := e.inherit(s); err != nil {
			return err
		}
	}
	return nil
}

// source is an input as slots name it.
type source struct {
	id    string
	which line.Stream
}

// inherit notes the slot for when its stream is opened.
func (e *Engine) inherit(s *stage.Slot) error {
	id, input := s.Owner()
	src := source{id, line.Stream(input)}
	old := e.left[src]
	switch {
	case old == nil:
		e.left[src] = s
		return nil
	case !s.SameInput(old):
		return fmt.Errorf("stage directory %s: two slots hold output of %s", e.stageDir(), id)
	case old.Formatted():
		return s.Remove()
	default:
		e.left[src] = s
		return old.Remove()
	}
}

const slotPrefix = "slot."

// slotPath returns a name for a new slot.
func (e *Engine) slotPath() string {
	e.mu.Lock()
	e.slots++
	n := e.slots
	e.mu.Unlock()
	return filepath.Join(e.stageDir(), slotPrefix+strconv.Itoa(n))
}

// Left returns the ids whose output an earlier engine took and could not finish, and that have not
// been opened since. Their bytes stay in the runtime directory until they are.
func (e *Engine) Left() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	for src := range e.left {
		if !slices.Contains(ids, src.id) {
			ids = append(ids, src.id)
		}
	}
	return ids
}

// Open starts carrying the stream id, new or left over by an earlier engine, as cfg says. An id is
// a file name: 1 to 200 bytes without a slash or a NUL, and not "." or "..".
func (e *Engine) Open(id string, cfg Config) (*Stream, error) {
	s, err := e.open(id, cfg)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", id, err)
	}
	return s, nil
}

func (e *Engine) open(id string, cfg Config) (*Stream, error) {
	if !validID(id) {
		return nil, fmt.Errorf("not a valid name")
	}
	cfg.complete(e.opts.Group)
	s := &Stream{id: id, e: e, cfg: &cfg}
	if isApart(&cfg) {
		var err error
		if s.w, err = e.workerApart(); err != nil {
			return nil, err
		}
	}
	if err := e.enter(s); err != nil {
		return nil, err
	}
	attached := make(chan error, 1)
	if !s.w.post(func() {
		err := s.w.attach(s)
		if err != nil {
			err = errors.Join(err, s.w.detach(s))
		}
		attached <- err
	}) {
		e.forget(s)
		return nil, ErrClosed
	}
	if err := <-attached; err != nil {
		return nil, err
	}
	s.tend()
	return s, nil
}

// enter puts the stream on the list and opens what it needs.
func (e *Engine) enter(s *Stream) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	if e.streams[s.id] != nil {
		return errors.New("already open")
	}
	if err := e.claim(s, s.cfg); err != nil {
		return err
	}
	var err error
	if s.outlets, err = e.openOutlets(s.id, s.cfg); err == nil {
		err = s.openInputs()
	}
	if err != nil {
		e.closeOutlets(s.outlets)
		e.disclaim(s, s.cfg, &Config{})
		return err
	}
	s.setUp()
	if s.w == nil {
		s.w = e.workers[e.opened%len(e.workers)]
		e.opened++
	}
	for _, in := range s.inputs() {
		src := source{s.id, in.which}
		in.stuck = e.left[src]
		delete(e.left, src)
	}
	e.streams[s.id] = s
	return nil
}

// claim checks that no other stream writes to the files of cfg, and notes them: two writers would
// each rotate under the other, and after a crash neither could tell its own bytes from the other's.
// e.mu is held.
func (e *Engine) claim(s *Stream, cfg *Config) error {
	for _, path := range []string{cfg.Path, cfg.ErrPath} {
		if by := e.files[path]; path != "" && by != nil && by != s {
			return fmt.Errorf("%s is the log of %s", path, by.id)
		}
	}
	for _, path := range []string{cfg.Path, cfg.ErrPath} {
		if path != "" {
			e.files[path] = s
		}
	}
	return nil
}

// disclaim undoes claim for the files of old that are not also cfg's. e.mu is held.
func (e *Engine) disclaim(s *Stream, old, cfg *Config) {
	for _, path := range []string{old.Path, old.ErrPath} {
		if e.files[path] == s && path != cfg.Path && path != cfg.ErrPath {
			delete(e.files, path)
		}
	}
}

// exchange gives a stream the files and outlets that new settings ask for. between is called when
// the new ones are there and the old ones still are.
func (e *Engine) exchange(s *Stream, cfg *Config, between func()) error {
	e.mu.Lock()
	err := e.claim(s, cfg)
	var outlets []*outlet
	if err == nil {
		if outlets, err = e.openOutlets(s.id, cfg); err != nil {
			e.disclaim(s, cfg, s.cfg)
		}
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	between()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeOutlets(s.outlets) // not earlier: what both have keeps its connection
	e.disclaim(s, s.cfg, cfg)
	s.outlets = outlets
	return nil
}

func validID(id string) bool {
	return id != "" && id != "." && id != ".." && len(id) <= 200 &&
		!strings.ContainsAny(id, "/\x00")
}

// Close carries what waits in the FIFOs, as far as it can be written, and stops. The FIFOs stay:
// running services keep printing into them, and the next engine goes on from there.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	e.closed = true
	left := e.left
	e.left = nil
	all := e.allWorkers()
	e.mu.Unlock()
	for _, w := range all {
		w.post(w.stop)
	}
	e.wg.Wait()
	e.flushing.Wait()
	e.upkeep.stop()
	var errs []error
	for _, w := range all {
		errs = append(errs, w.err)
	}
	for _, s := range left {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// forget takes a closed stream off the list.
func (e *Engine) forget(s *Stream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeOutlets(s.outlets)
	e.disclaim(s, s.cfg, &Config{})
	if e.streams[s.id] == s {
		delete(e.streams, s.id)
	}
}

func (e *Engine) trouble(id string, err error) {
	if e.opts.Trouble != nil {
		e.opts.Trouble(id, err)
	}
}

package supervise

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// inheritance is what the engine has of an earlier supervisor: processes that are not its children.
// Their ends are told by pidfds in one epoll set, and nothing is done to them but by pidfd: a pid
// of theirs may be another's at any time.
type inheritance struct {
	byPID map[int]*heir
	byKey map[uint64]*heir
	last  uint64 // key given
	watch exitWatch
	taken int // services that were found alive

	survey survey
}

// heir is one process that an earlier supervisor started, or that has come of one, held fast.
type heir struct {
	identity
	handle
	service *service
	key     uint64
	main    bool
	ended   bool // but the kernel has yet to say how
}

// handle means one process as long as it is open; see sys.BarePidfd.
type handle interface {
	ID() (uint64, error)
	Signal(syscall.Signal) error
	Exited() (bool, error)
	ExitStatus() (syscall.WaitStatus, bool, error)
	Close() error
}

func hold(pid int) (handle, error) {
	h, err := sys.HoldProcess(pid)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// exitWatch tells the ends of processes; see sys.ExitWatch.
type exitWatch interface {
	add(h handle, key uint64) error
	close() error
}

type realExitWatch struct {
	w    *sys.ExitWatch
	done chan struct{}
	over chan struct{}
}

func watchExits(report func([]sys.ExitEvent)) (exitWatch, error) {
	w, err := sys.NewExitWatch()
	if err != nil {
		return nil, err
	}
	r := &realExitWatch{w: w, done: make(chan struct{}), over: make(chan struct{})}
	go r.run(report)
	return r, nil
}

func (r *realExitWatch) run(report func([]sys.ExitEvent)) {
	defer close(r.over)
	events := make([]sys.ExitEvent, 64)
	for {
		n, err := r.w.Wait(events)
		if err != nil {
			// Only a programming error gets here (epoll_wait(2): EBADF, EFAULT, EINVAL).
			panic("supervise: " + err.Error())
		}
		if n > 0 {
			report(slices.Clone(events[:n]))
		}
		select {
		case <-r.done:
			return
		default:
		}
	}
}

func (r *realExitWatch) add(h handle, key uint64) error {
	fd, ok := h.(sys.BarePidfd)
	if !ok {
		return errors.ErrUnsupported
	}
	return r.w.Add(fd, key)
}

func (r *realExitWatch) close() error {
	close(r.done)
	if err := r.w.Wake(); err != nil {
		return err
	}
	<-r.over
	return r.w.Close()
}

// zombieStatus says how a process ended that its parent has not reaped yet, if that is to be known.
func zombieStatus(h handle, pid int) (syscall.WaitStatus, bool, error) {
	fd, ok := h.(sys.BarePidfd)
	if !ok {
		return 0, false, nil
	}
	return sys.ZombieStatus(fd, pid)
}

// identify says who the process is that has this pid, which must be a child of ours that has not
// been reaped. Where that cannot be told, nobody will be able to prove it later, either.
func identify(pid int) identity {
	id := identity{PID: pid}
	h, err := sys.HoldProcess(pid)
	if err == nil {
		id.Pidfd, err = h.ID()
		_ = h.Close() // nothing was written to it
	}
	if err != nil {
		if stat, err := sys.ReadStat(pid); err == nil {
			id.Start = stat.StartTime
		}
	}
	return id
}

// errStranger says that a pid belongs to another process than the one that was meant.
var errStranger = errors.New("its number belongs to another process by now")

// prove holds the process that id names, if it is still there: else the error wraps ESRCH.
func (e *Engine) prove(id identity) (handle, error) {
	if id.PID <= 1 || id.Pidfd == 0 && id.Start == 0 {
		return nil, fmt.Errorf("process %d: nothing is known of it to prove who it is", id.PID)
	}
	h, err := e.kernel.hold(id.PID)
	if errors.Is(err, errors.ErrUnsupported) && e.hasEnded(id) {
		err = syscall.ESRCH
	}
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", id.PID, err)
	}
	if err := e.same(h, id); err != nil {
		return nil, errors.Join(fmt.Errorf("process %d: %w", id.PID, err), h.Close())
	}
	return h, nil
}

// hasEnded says whether a process that cannot be held has certainly ended.
func (e *Engine) hasEnded(id identity) bool {
	stat, err := e.kernel.stat(id.PID)
	if err != nil {
		return errors.Is(err, syscall.ESRCH)
	}
	return stat.Exited() || id.Start != 0 && stat.StartTime != id.Start
}

// same says whether the process that h holds is the one that id names. The order matters: it is
// held before it is looked at, so that what is seen is true of what is held, or of nobody.
func (e *Engine) same(h handle, id identity) error {
	if id.Pidfd != 0 {
		ino, err := h.ID()
		if err == nil && ino != id.Pidfd {
			err = fmt.Errorf("%w (%w)", errStranger, syscall.ESRCH)
		}
		return err
	}
	stat, err := e.kernel.stat(id.PID)
	if err == nil && stat.StartTime != id.Start {
		err = fmt.Errorf("%w (%w)", errStranger, syscall.ESRCH)
	}
	return err
}

// inherit takes a held process in as one of s, and watches it.
func (e *Engine) inherit(s *service, id identity, h handle, main bool) error {
	in := &e.inheritance
	if in.watch == nil {
		watch, err := e.kernel.exits(func(events []sys.ExitEvent) {
			e.post(func() {
				for _, ev := range events {
					e.heirEnded(ev)
				}
			})
		})
		if err != nil {
			return err
		}
		in.watch, in.byPID, in.byKey = watch, map[int]*heir{}, map[uint64]*heir{}
	}
	in.last++
	r := &heir{identity: id, handle: h, service: s, key: in.last, main: main}
	if err := in.watch.add(h, r.key); err != nil {
		return err
	}
	in.byPID[id.PID], in.byKey[r.key] = r, r
	return nil
}

// dropHeir lets go of one.
func (e *Engine) dropHeir(r *heir) {
	in := &e.inheritance
	delete(in.byKey, r.key)
	if in.byPID[r.PID] == r {
		delete(in.byPID, r.PID)
	}
	_ = r.Close() // nothing was written to it
}

// yield gives a number up: it is that of a child of ours by now, and of nobody else.
func (e *Engine) yield(pid int) {
	r := e.inheritance.byPID[pid]
	switch {
	case r == nil:
	case r.main: // its end is about to be told
		delete(e.inheritance.byPID, pid)
		delete(e.byPID, pid)
	default:
		e.dropHeir(r)
	}
}

// dropHeirs ends the watch over all of them.
func (e *Engine) dropHeirs() {
	if e.inheritance.watch == nil {
		return
	}
	if err := e.inheritance.watch.close(); err != nil {
		e.o.Trouble(err)
	}
	for _, r := range e.inheritance.byKey {
		e.dropHeir(r)
	}
}

// reapTime is how long the parent of a process that is not our child may take to reap it, where we
// may not trace it: until then the kernel does not tell us how it ended. An init may be slow at
// that; one that never does it must not keep a service down.
const reapTime = 3 * time.Second

// heirEnded takes note that one has ended, or that it has been reaped.
func (e *Engine) heirEnded(ev sys.ExitEvent) {
	r := e.inheritance.byKey[ev.Key]
	if r == nil {
		return
	}
	if !r.main {
		e.dropHeir(r)
		if e.orphans[r.PID] == r.service {
			e.orphanDied(r.PID)
		}
		return
	}
	s := r.service
	status, known, err := r.ExitStatus()
	if !known && err == nil && !ev.Reaped {
		status, known, err = e.kernel.zombie(r.handle, r.PID)
	}
	if known || err != nil || ev.Reaped {
		e.heirDied(r, exitStatus{status: status, unknown: !known, at: time.Now()})
		return
	}
	if r.ended {
		return
	}
	r.ended, s.draining = true, true
	time.AfterFunc(reapTime, func() {
		e.post(func() {
			if e.inheritance.byKey[r.key] == r {
				e.heirEnded(sys.ExitEvent{Key: r.key, Reaped: true})
			}
		})
	})
}

func (e *Engine) heirDied(r *heir, status exitStatus) {
	s := r.service
	e.dropHeir(r)
	if e.byPID[r.PID] == s { // else the number has been given to another one's since
		delete(e.byPID, r.PID)
	}
	if s.identity == r.identity {
		e.mainDied(s, status)
	}
}

// changeHeir makes another process of a service its main one, of which neither is our child.
func (e *Engine) changeHeir(s *service, pid int) {
	stat, err := e.kernel.stat(pid)
	if err != nil {
		return
	}
	id := identity{PID: pid, Start: stat.StartTime}
	h, err := e.prove(id)
	if err == nil && e.serviceOf(pid) != s { // asked again, now that it is held
		err = errors.Join(errStranger, h.Close())
	}
	if err != nil {
		return
	}
	if err := e.inherit(s, id, h, true); err != nil { // what is not watched could not be signalled safely either
		e.o.Trouble(errors.Join(fmt.Errorf("%s: main process %d: %w", s.spec.Name, pid, err), h.Close()))
		return
	}
	if old := e.inheritance.byPID[s.pid]; old != nil {
		old.main = false
		e.own(s.pid, s)
	}
	delete(e.byPID, s.pid)
	s.nextMain = pid
	e.takeMain(s)
	s.identity = id
}

// lives says whether a pid that the engine knows is still that of the process which it means. That
// of a child is until it is reaped.
func (e *Engine) lives(pid int) bool {
	r := e.inheritance.byPID[pid]
	if r == nil {
		return true
	}
	exited, err := r.Exited()
	return err == nil && !exited
}

package children

import (
	"errors"
	"slices"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// Handle means one process as long as it is open; see sys.BarePidfd.
type Handle interface {
	ID() (uint64, error)
	Signal(syscall.Signal) error
	Exited() (bool, error)
	ExitStatus() (syscall.WaitStatus, bool, error)
	Close() error
}

func hold(pid int) (Handle, error) {
	h, err := sys.HoldProcess(pid)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// ExitWatch tells the ends of processes; see sys.ExitWatch.
type ExitWatch interface {
	Add(h Handle, key uint64) error
	Close() error
}

type epollWatch struct {
	w    *sys.ExitWatch
	done chan struct{}
	over chan struct{}
}

func watchExits(report func([]sys.ExitEvent)) (ExitWatch, error) {
	w, err := sys.NewExitWatch()
	if err != nil {
		return nil, err
	}
	r := &epollWatch{w: w, done: make(chan struct{}), over: make(chan struct{})}
	go r.run(report)
	return r, nil
}

func (r *epollWatch) run(report func([]sys.ExitEvent)) {
	defer close(r.over)
	events := make([]sys.ExitEvent, 64)
	for {
		n, err := r.w.Wait(events)
		if err != nil {
			// Only a programming error gets here (epoll_wait(2): EBADF, EFAULT, EINVAL).
			panic("children: " + err.Error())
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

func (r *epollWatch) Add(h Handle, key uint64) error {
	fd, ok := h.(sys.BarePidfd)
	if !ok {
		return errors.ErrUnsupported
	}
	return r.w.Add(fd, key)
}

func (r *epollWatch) Close() error {
	close(r.done)
	if err := r.w.Wake(); err != nil {
		return err
	}
	<-r.over
	return r.w.Close()
}

// zombieStatus says how a process ended that its parent has not reaped yet, if that is to be known.
func zombieStatus(h Handle, pid int) (syscall.WaitStatus, bool, error) {
	fd, ok := h.(sys.BarePidfd)
	if !ok {
		return 0, false, nil
	}
	return sys.ZombieStatus(fd, pid)
}

// identify says who the process is that has this pid, which must be a child of ours that has not
// been reaped. Where that cannot be told, nobody will be able to prove it later, either.
func identify(pid int) Identity {
	id := Identity{PID: pid}
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

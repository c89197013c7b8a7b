package supervise

import (
	"context"
	"fmt"
	"slices"

	"github.com/daemonry/daemonry/internal/sys"
)

// fdStore are the descriptors that a service has left with us (FDSTORE=1, sd_notify(3)), to have
// them back when it is started again. They are kept over restarts and crashes, and closed when it
// is stopped by hand, given up or removed.
//
// They come from a process that may mean harm: nothing is read from them, written to them or asked
// of them but whether two are the same and whether the other side is gone, and they are closed
// where it may take long.
type fdStore struct{ files []stored }

// stored is one of them. Its descriptor belongs to the store; it is no *os.File, because what that
// does to the file status would be seen by the service.
type stored struct {
	fd   int
	name string
	key  uint64 // in the engine's watch, 0 if it is not watched
}

// copies are for who starts a process, away from the owner, and are theirs to close.
func (st *fdStore) copies() (list []stored, err error) {
	if st == nil {
		return nil, nil
	}
	for _, f := range st.files {
		fd, err := sys.DupAbove(f.fd, 3)
		if err != nil {
			closeAway(numbers(list))
			return nil, fmt.Errorf("descriptor store: %s: %w", f.name, err)
		}
		list = append(list, stored{fd: fd, name: f.name})
	}
	return list, nil
}

func numbers(list []stored) (fds []int) {
	for _, f := range list {
		fds = append(fds, f.fd)
	}
	return fds
}

// defaultStoredName is what sd_notify(3) calls a descriptor without FDNAME=.
const defaultStoredName = "stored"

// keepFiles does what a message says of descriptors. Those in files stay the caller's.
func (e *Engine) keepFiles(s *service, m heardMessage) {
	s = s.registered()
	if m.FDStoreRemove {
		e.drop(s, func(f stored) bool { return f.name == m.FDName })
	}
	if !m.FDStore {
		return
	}
	if s.store == nil {
		s.store = &fdStore{}
	}
	name := m.FDName
	if name == "" {
		name = defaultStoredName
	}
	for i, fd := range m.files {
		if len(s.store.files) >= s.storeLimit() {
			e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf(
				"descriptor store: %s refused, the limit is %d", countOf(len(m.files)-i, "descriptor", "descriptors"), s.storeLimit())})
			return
		}
		if s.store.has(fd) {
			continue
		}
		if err := e.keepFile(s, fd, name, !m.FDKeepDead); err != nil {
			e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("descriptor store: %s: %v", name, err)})
		}
	}
}

func (e *Engine) keepFile(s *service, fd int, name string, watch bool) error {
	if err := e.room.enter(context.Background(), 1); err != nil {
		return err
	}
	own, err := sys.DupAbove(fd, 3)
	e.room.leave(1)
	if err != nil {
		return err
	}
	f := stored{fd: own, name: name}
	if watch {
		// What cannot be watched, such as a regular file, has no other side that could go.
		f.key, _ = e.watchFor(own, sys.WaitDead, func() {
			e.drop(s, func(g stored) bool { return g.fd == own })
		})
	}
	s.store.files = append(s.store.files, f)
	return nil
}

// has says whether the same open file is kept already. Where the kernel does not tell, none is.
func (st *fdStore) has(fd int) bool {
	return slices.ContainsFunc(st.files, func(f stored) bool {
		same, err := sys.SameDescription(f.fd, fd)
		return err == nil && same
	})
}

// drop closes those of the kept descriptors that which picks.
func (e *Engine) drop(s *service, which func(stored) bool) {
	if s.store == nil {
		return
	}
	var gone []int
	s.store.files = slices.DeleteFunc(s.store.files, func(f stored) bool {
		if !which(f) {
			return false
		}
		e.forgetWatch(f.key)
		gone = append(gone, f.fd)
		return true
	})
	closeAway(gone)
}

// dropAll empties the store.
func (e *Engine) dropAll(s *service) { e.drop(s, func(stored) bool { return true }) }

// closeAway closes descriptors of others where nobody waits for it: the last close of a socket may
// take as long as SO_LINGER says (socket(7)), and that of a file as long as its file system likes.
func closeAway(fds []int) {
	if len(fds) == 0 {
		return
	}
	go func() {
		for _, fd := range fds {
			_ = sys.CloseFD(fd) // the number is free in any case (close(2)); what the last writer lost is not ours
		}
	}()
}

// mostClosing bounds how many descriptors of messages are being closed at once: as many as one
// message may have, and a few.
const mostClosing = sys.MaxFiles + 3

// closeReceived closes what came with a message. Anybody may send one, with a descriptor whose
// close takes for ever (FUSE); it keeps us from hearing others only when he has done so often.
func (e *Engine) closeReceived(p *sys.Packet) {
	if len(p.Files) == 0 {
		return
	}
	n := len(p.Files)
	for range n {
		e.closers <- struct{}{}
	}
	go func() {
		p.CloseFiles()
		for range n {
			<-e.closers
		}
	}()
}

// copyFiles makes descriptors outlive the message they came with.
func copyFiles(fds []int) (list []int, err error) {
	for _, fd := range fds {
		own, err := sys.DupAbove(fd, 3)
		if err != nil {
			closeAway(list)
			return nil, err
		}
		list = append(list, own)
	}
	return list, nil
}

func (st *fdStore) len() int {
	if st == nil {
		return 0
	}
	return len(st.files)
}

package handover

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// store are the descriptors that a service has left with us (FDSTORE=1, sd_notify(3)), to have them
// back when it is started again.
//
// They come from a process that may mean harm: nothing is read from them, written to them or asked
// of them but whether two are the same and whether the other side is gone, and they are closed
// where it may take long.
type store struct{ files []stored }

// stored is one of them. Its descriptor belongs to the store; it is no *os.File, because what that
// does to the file status would be seen by the service.
type stored struct {
	fd   int
	name string
	key  uint64 // in the watch, 0 if it is not watched
}

// defaultStoredName is what sd_notify(3) calls a descriptor without FDNAME=.
const defaultStoredName = "stored"

// Store does what a message of a service says of descriptors. Those in files stay the caller's.
func (t *Table[U]) Store(u U, described *spec.Service, m notify.Message, files []int) {
	if m.FDStoreRemove {
		t.drop(t.stores[u], func(f stored) bool { return f.name == m.FDName })
	}
	if !m.FDStore {
		return
	}
	st, name := t.storeOf(u), cmp.Or(m.FDName, defaultStoredName)
	limit := storeLimit(described)
	for i, fd := range files {
		if len(st.files) >= limit {
			refused := "1 descriptor"
			if n := len(files) - i; n > 1 {
				refused = fmt.Sprintf("%d descriptors", n)
			}
			t.o.Failed(u,
				fmt.Errorf("descriptor store: %s refused, the limit is %d", refused, limit))
			return
		}
		if st.has(fd) {
			continue
		}
		own, err := t.copy(fd)
		if err != nil {
			t.o.Failed(u, fmt.Errorf("descriptor store: %s: %w", name, err))
			continue
		}
		t.put(st, own, name, !m.FDKeepDead)
	}
}

func (t *Table[U]) storeOf(u U) *store {
	st := t.stores[u]
	if st == nil {
		st = &store{}
		t.stores[u] = st
	}
	return st
}

func (t *Table[U]) copy(fd int) (int, error) {
	leave, err := t.o.Room()
	if err != nil {
		return -1, err
	}
	defer leave()
	return sys.DupAbove(fd, 3)
}

// put puts a descriptor into a store, whose it is from here on.
func (t *Table[U]) put(st *store, fd int, name string, watch bool) {
	f := stored{fd: fd, name: name}
	if watch {
		// What cannot be watched, such as a regular file, has no other side that could go.
		f.key, _ = t.watch.add(fd, sys.WaitDead, func() {
			t.drop(st, func(g stored) bool { return g.fd == fd })
		})
	}
	st.files = append(st.files, f)
}

// has says whether the same open file is kept already. Where the kernel does not tell, none is.
func (st *store) has(fd int) bool {
	return slices.ContainsFunc(st.files, func(f stored) bool {
		same, err := sys.SameDescription(f.fd, fd)
		return err == nil && same
	})
}

// drop closes those of the kept descriptors that which picks.
func (t *Table[U]) drop(st *store, which func(stored) bool) {
	if st == nil {
		return
	}
	var gone []int
	st.files = slices.DeleteFunc(st.files, func(f stored) bool {
		if !which(f) {
			return false
		}
		t.watch.forget(f.key)
		gone = append(gone, f.fd)
		return true
	})
	CloseAway(gone)
}

// Empty closes all that u has stored: nobody is to have it back.
func (t *Table[U]) Empty(u U) {
	t.drop(t.stores[u], func(stored) bool { return true })
	delete(t.stores, u)
}

// Move makes what from has stored that of to, which has nothing.
func (t *Table[U]) Move(from, to U) {
	if st := t.stores[from]; st != nil {
		delete(t.stores, from)
		t.stores[to] = st
	}
}

// Restore puts what the program before this one has given us back into the store of u, the service
// of that name.
func (t *Table[U]) Restore(u U, name string) {
	stored := func(d Descriptor) bool { return d.Service == name && d.Socket == "" }
	for _, one := range t.claim(stored) {
		t.put(t.storeOf(u), one.FD, one.Name, !one.Dead)
	}
}

// CloseAway closes descriptors of others where nobody waits for it: the last close of a socket may
// take as long as SO_LINGER says (socket(7)), and that of a file as long as its file system likes.
func CloseAway(fds []int) {
	if len(fds) == 0 {
		return
	}
	go func() {
		for _, fd := range fds {
			// The number is free in any case (close(2)); what the last writer lost is not ours.
			_ = sys.CloseFD(fd)
		}
	}()
}

// mostClosing bounds how many descriptors of messages are being closed at once: as many as one
// message may have, and a few.
const mostClosing = sys.MaxFiles + 3

// CloseFiles closes what came with a message; it is called by who receives them. Anybody may send
// one, with a descriptor whose close takes for ever (FUSE); it keeps us from hearing others only
// when he has done so often.
func (t *Table[U]) CloseFiles(p *sys.Packet) {
	n := len(p.Files)
	if n == 0 {
		return
	}
	for range n {
		t.closing <- struct{}{}
	}
	go func() {
		p.CloseFiles()
		for range n {
			<-t.closing
		}
	}()
}

// Copy makes descriptors outlive the message they came with.
func Copy(fds []int) (list []int, err error) {
	for _, fd := range fds {
		own, err := sys.DupAbove(fd, 3)
		if err != nil {
			CloseAway(list)
			return nil, err
		}
		list = append(list, own)
	}
	return list, nil
}

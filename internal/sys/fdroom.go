package sys

import "sync"

// HaveDescriptors says whether this process could open n more files at this moment: nil, or the
// error of the open that would fail (EMFILE: the process's limit, ENFILE: the system's). It takes
// that many for an instant, or one where the kernel says how many are open.
func HaveDescriptors(n int) error {
	if open := openDescriptors(); open > 0 && uint64(open+n) <= mostDescriptors() {
		n = min(n, 1)
	}
	fds, err := spareDescriptors(n)
	closeAllFDs(fds)
	return err
}

// MostDescriptors is how many files this process may have open (RLIMIT_NOFILE), 0 if nobody can
// say.
func MostDescriptors() uint64 { return mostDescriptors() }

// Reserve is a number of descriptors that nothing in the process can take before they are released.
// The zero value is empty. Its methods may be called from any goroutine.
type Reserve struct {
	mu  sync.Mutex
	fds []int
}

// Fill has n descriptors in the reserve. The error is why there are fewer; those that could be had
// are kept.
func (r *Reserve) Fill(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fds) >= n {
		return nil
	}
	more, err := spareDescriptors(n - len(r.fds))
	r.fds = append(r.fds, more...)
	return err
}

// Release gives all that is in it back and says how many that are.
func (r *Reserve) Release() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.fds)
	closeAllFDs(r.fds)
	r.fds = nil
	return n
}

func closeAllFDs(fds []int) {
	for _, fd := range fds {
		CloseFD(fd) // nothing is written through it, and the number is free in any case (close(2))
	}
}

package sys

// ProcList reads the stat of every process, again and again into the same
// memory: at 10,000 processes a scan costs one open, read and close each, and
// little else. The zero value is ready; one goroutine at a time.
type ProcList struct {
	stats []ProcStat
	buf   []byte
}

// Read returns all processes that /proc shows, zombies included, in no order
// that matters. The slice is valid until the next Read.
//
// It is no snapshot: the kernel has none to give. Each element is true of its
// process at one moment of the scan; a process born meanwhile may be missing,
// one that ended may be there. The error wraps ErrHidden when /proc shows
// another pid namespace than ours, and on other systems than Linux errors.ErrUnsupported.
func (l *ProcList) Read() ([]ProcStat, error) { return l.read() }

package sys

// Interest is what a Watch looks out for at a descriptor.
type Interest uint8

const (
	// WaitInput: something can be read or accepted. It is told once; then nothing is,
	// until the descriptor is added anew.
	WaitInput Interest = iota
	// WaitDead: the other side is gone or there is an error. It is told once.
	WaitDead
)

// Watch waits for many descriptors without a thread and with one goroutine: epoll(7), itself waited
// for by the runtime's poller. It reads nothing from them. Linux only. Add and Remove may be called
// from any goroutine.
type Watch struct{ watch }

// NewWatch returns an empty Watch.
func NewWatch() (*Watch, error) { return newWatch() }

// Add looks out for want at fd; key comes back with it. What is so already is told by the next
// Next. EPERM: the descriptor is of a kind, such as a regular file, that is always ready.
func (w *Watch) Add(fd int, want Interest, key uint64) error { return w.add(fd, want, key) }

// Remove forgets fd. It must be called before fd is closed.
func (w *Watch) Remove(fd int) error { return w.remove(fd) }

// Next waits until there is something to tell and fills keys; os.ErrClosed after Close.
// A key may still be told after Remove, if it was about to be.
func (w *Watch) Next(keys []uint64) (int, error) { return w.next(keys) }

// Close ends the present and every later Next.
func (w *Watch) Close() error { return w.close() }

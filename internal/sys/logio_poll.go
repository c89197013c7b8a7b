package sys

import "time"

// PollEvent says what happened to a descriptor of a Poller.
type PollEvent struct {
	Key    int32 // as given to Add
	Read   bool  // there is something to read
	Hangup bool  // nobody holds the writing end any more; there may still be something to read
}

// Poller waits for many descriptors in one thread: epoll(7) on Linux, poll(2)
// elsewhere. Each descriptor is reported once and then not again until it is armed
// anew, so that a descriptor whose reader lets data gather costs its writers nothing.
//
// All methods but Wake belong to one goroutine.
type Poller struct{ poller }

// NewPoller returns an empty Poller.
func NewPoller() (*Poller, error) { return newPoller() }

// Add watches fd, armed. The key, not negative, comes back in its events.
func (p *Poller) Add(fd int, key int32) error { return p.add(fd, key) }

// Arm asks for the next event of fd. If it is readable or hung up already, the next Wait says so.
func (p *Poller) Arm(fd int, key int32) error { return p.arm(fd, key) }

// Remove forgets fd. It must be called before fd is closed.
func (p *Poller) Remove(fd int) error { return p.remove(fd) }

// Wait fills events and returns how many there are. It waits until there is one, until Wake, or
// until timeout has passed; a negative timeout is none. Resolution is a nanosecond with
// epoll_pwait2 (Linux 5.11), a millisecond, rounded up, without it.
func (p *Poller) Wait(events []PollEvent, timeout time.Duration) (int, error) {
	return p.wait(events, timeout)
}

// Wake makes the present or the next Wait return. Any goroutine may call it.
func (p *Poller) Wake() error { return p.wake() }

// Close frees what the Poller holds, not the descriptors it watched.
func (p *Poller) Close() error { return p.close() }

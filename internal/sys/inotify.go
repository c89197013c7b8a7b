package sys

import "time"

// Watcher says that something in one of some directories has changed: a file was
// written, made, renamed or removed (inotify(7)). It does not say what; who waits looks.
type Watcher struct{ watcher }

// NewWatcher returns a Watcher without directories. Where the kernel has no inotify the error wraps
// errors.ErrUnsupported.
func NewWatcher() (*Watcher, error) { return newWatcher() }

// Add watches the directory.
func (w *Watcher) Add(dir string) error { return w.add(dir) }

// AddNames watches the directory for names that go away, its own among them, and nothing else.
func (w *Watcher) AddNames(dir string) error { return w.addNames(dir) }

// Wait returns when something has changed since the last Wait, or the time has passed (nil in both
// cases), or the Watcher has been closed (an error).
func (w *Watcher) Wait(timeout time.Duration) error { return w.wait(timeout) }

// Close ends the watching and every Wait.
func (w *Watcher) Close() error { return w.close() }

package sys

import "runtime"

// OnThread runs f in a goroutine, on a thread of its own that ends with it: what f sets for its thread is
// nobody else's.
//
// That is never the thread that the process began with. The runtime cannot end that one and parks it for ever as
// it is (runtime.mexit), where /proc/PID shows its user, umask and directory for those of the process, and
// where the parent death signal of what it has forked does not come.
func OnThread(f func()) {
	go func() {
		runtime.LockOSThread() // and never unlocks: so the thread ends with the goroutine
		if !firstThread() {
			f()
			return
		}
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread() // another one: the first is held meanwhile
			close(started)
			f()
		}()
		<-started
		runtime.UnlockOSThread()
	}()
}

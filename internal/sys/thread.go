package sys

import (
	"runtime"
	"sync"
)

// OnThread runs f in a goroutine, on a thread of its own that ends with it: what f sets for its
// thread is nobody else's.
//
// That is never the thread that the process began with. The runtime cannot end that one and parks
// it for ever as it is (runtime.mexit), where /proc/PID shows its user, umask and directory for
// those of the process, and where the parent death signal of what it has forked does not come.
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

// ReserveThreads has the runtime make n threads that it keeps: it ends none that a goroutine has
// given back. When it needs one and the kernel refuses it (RLIMIT_NPROC of setrlimit(2), pids.max
// of a control group) the runtime ends the process by SIGABRT; a program that must outlive such a
// moment has its threads before.
func ReserveThreads(n int) {
	all := make(chan struct{})
	var here, gone sync.WaitGroup
	here.Add(n)
	for range n {
		gone.Go(func() {
			runtime.LockOSThread() // so none of them can share a thread
			here.Done()
			<-all
			runtime.UnlockOSThread()
		})
	}
	here.Wait()
	close(all)
	gone.Wait()
}

package server

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// many is how many threads the program without threads asks for at once.
const many = 8

// noThreads is refused any more threads, and has many goroutines wait in the kernel, each of which
// takes one.
var noThreads = proctest.Register("nothreads", func([]string) int {
	sys.ReserveThreads(spareThreads)
	const rlimitNproc = 6 // Linux; package syscall has no name for it
	if err := sys.Setrlimit(rlimitNproc, sys.Rlimit{Soft: 1, Hard: 1}); err != nil {
		fmt.Println(err)
		return 1
	}
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		fmt.Println(err)
		return 1
	}
	var waiting atomic.Int32
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			waiting.Add(1)
			if _, err := syscall.Read(p[0], make([]byte, 1)); err != nil {
				fmt.Println(err)
			}
		})
	}
	for waiting.Load() < many {
		time.Sleep(time.Millisecond)
	}
	// The runtime takes 10 ms at most to see that a thread waits in the kernel (sysmon).
	time.Sleep(50 * time.Millisecond)
	if _, err := syscall.Write(p[1], make([]byte, many)); err != nil {
		fmt.Println(err)
	}
	all.Wait()
	return 0
})

// A program with threads in reserve goes on where the kernel refuses it any more of them, which
// else ends it by SIGABRT.
func TestReserveThreads(t *testing.T) {
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		cmd := noThreads.Command(t)
		cmd.Env = append(os.Environ(), "GOTRACEBACK=none")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

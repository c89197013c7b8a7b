package spawn

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// taker takes its orders as soon as they come, on descriptor 3 and the first thread, as a stage
// does, and has started something then: a byte on descriptor 4. The first byte says that it waits,
// or that it is on another thread.
var taker = proctest.Register("taker", func([]string) int {
	runtime.LockOSThread()
	if syscall.Gettid() != os.Getpid() {
		_, _ = syscall.Write(4, []byte("x"))
		return 0
	}
	p := make([]byte, 1)
	for range 2 {
		if _, _, err := sys.Channel(3).Recv(p); err != nil {
			return 1
		}
		if _, err := syscall.Write(4, p); err != nil {
			return 1
		}
	}
	return 0
})

// A stage that is killed because it has not taken its orders has not taken them between the look
// and the signal either.
func TestKilledBeforeItBegan(t *testing.T) {
	proctest.CheckLeaks(t)
	held := 0
	for range 60 {
		a, b, err := sys.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		end := os.NewFile(uintptr(b), "channel")
		cmd := taker.Command(t)
		cmd.ExtraFiles = []*os.File{end, w}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end.Close()
		w.Close()
		if err := a.Send([]byte("r")); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		if _, err := io.ReadFull(r, first); err != nil {
			t.Fatal(err)
		}
		elsewhere := first[0] == 'x'
		if err := a.Send([]byte("o")); err != nil && !elsewhere {
			t.Fatal(err)
		}
		before := !elsewhere && heldBefore(cmd.Process.Pid, a)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed
		began, err := io.ReadAll(r)
		if before && len(began) > 0 {
			t.Errorf("it began all the same: %q, %v", began, err)
		}
		if before {
			held++
		}
		r.Close()
		a.Close()
	}
	t.Logf("%d of 60 were stopped before they began", held)
}

package spawn

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// tooMuch is the beginning of a message that is too long, n bytes of it.
func tooMuch(n int) []byte {
	return append([]byte{byte(frameMessage), 255, 255, 255, 255}, make([]byte, n)...)
}

const isTooMuch = "a message of 4294967295 bytes, more than 67108864"

// endless is a target that says more than may be said.
var endless = proctest.Register("endless", func([]string) int {
	if born == nil {
		return 1
	}
	_ = born.channel.Send(tooMuch(4 << 20)) // more than a socket holds
	time.Sleep(time.Hour)
	return 0
})

// TestTargetSaysTooMuch: that is the end of it, and the launcher hears why.
func TestTargetSaysTooMuch(t *testing.T) {
	proctest.CheckLeaks(t)
	l, err := Detach(t.Context(), &Spec{
		Path:  endless.Path(t),
		Args:  []string{"endless"},
		Env:   os.Environ(),
		Birth: &Birth{},
	})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	over := time.After(time.Minute)
	for open := true; open; {
		select {
		case e, ok := <-l.Events:
			switch {
			case e.Lost != nil:
				said = append(said, e.Lost.Error())
			case e.Exit != nil:
				said = append(said, e.Exit.String())
			}
			open = ok
		case <-over:
			t.Error("it goes on")
			open = false
		}
	}
	if err := l.Kill(0); err != nil {
		t.Error(err)
	}
	want := "hear what the program says: " + isTooMuch + "|killed by SIGKILL"
	if strings.Join(said, "|") != want {
		t.Errorf("%q, want %q", said, want)
	}
}

// TestWatcherSaysTooMuch: a watcher of which no more can be learned is ended, whenever that is.
func TestWatcherSaysTooMuch(t *testing.T) {
	for name, first := range map[string][]byte{
		"at once": nil, "later": {byte(frameStarted), 1, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			ours, theirs, err := sys.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			end := os.NewFile(uintptr(theirs), "channel")
			pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"},
				&syscall.ProcAttr{
					Files: []uintptr{end.Fd()},
					Sys:   &syscall.SysProcAttr{Setsid: true},
				})
			if err != nil {
				t.Fatal(err)
			}
			if err := theirs.Send(append(first, tooMuch(1000)...)); err != nil {
				t.Fatal(err)
			}
			end.Close()
			events := make(chan Event)
			l := &Launch{Session: pid, Events: events, channel: ours, watcher: pid}
			err = returns(t, &pid, func() error {
				go l.listen(events)
				if err := l.awaitStart(t.Context()); err != nil {
					return err
				}
				for e := range events {
					if e.Lost != nil {
						err = e.Lost
					}
				}
				return err
			})
			want := "start stage: hear how it went: " + isTooMuch
			if err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
			if err := l.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTooMuchIsNotSent: the sender hears of it.
func TestTooMuchIsNotSent(t *testing.T) {
	err := sendFrame(-1, frameMessage, make([]byte, maxFrame+1))
	want := fmt.Sprintf("a message of %d bytes, more than %d", maxFrame+1, maxFrame)
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestMuteIntermediate: a process between two that is stopped is not waited for.
func TestMuteIntermediate(t *testing.T) {
	for name, do := range map[string]func(*intermediary) error{
		"leave": (*intermediary).leave,
		"reap":  func(i *intermediary) error { _, err := i.reap(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			ours, theirs, err := sys.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			i := &intermediary{reborn{pid: pid, channel: ours}}
			err = returns(t, &pid, func() error { return do(i) })
			want := fmt.Sprintf(
				"process %d, which could tell how it ended: it has not answered within 5s", pid,
			)
			if name == "leave" {
				want = "<nil>"
			}
			if fmt.Sprint(err) != want {
				t.Error(err)
			}
		})
	}
}

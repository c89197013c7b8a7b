package hearing

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// owned runs a loop until the function returned is called.
func owned() (l *loop.Loop, end func()) {
	l = loop.New(errors.New("over"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-l.Wake():
				l.Run()
			case <-stop:
				l.End()
				return
			}
		}
	}()
	return l, func() { close(stop); <-stopped }
}

// A pause that is given up between the deadline that ends the wait for a message and its turn with
// the owner must not leave anybody unheard.
func TestPauseThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := owned()
		defer end()
		h := New(Options{Loop: l})
		heard := make(chan struct{})
		go func() {
			h.stand(t.Context())
			close(heard)
		}()
		synctest.Wait()
		select {
		case <-heard:
		default:
			t.Error("there is no pause, and nobody is heard any more")
		}
		if h.Paused() {
			t.Error("the next pause would begin without waiting for what was heard")
		}
	})
}

// TestPause: what is sent in a pause stays in the socket, and is heard after it.
func TestPause(t *testing.T) {
	run, err := os.MkdirTemp("/tmp", "hearing-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	l, end := owned()
	defer end()
	said := make(chan string, 10)
	h := New(Options{
		Loop: l, Take: func(m Message) bool { said <- *m.Status; return true },
		Expecting: func() bool { return false },
		Close:     func(p *sys.Packet) { p.CloseFiles() },
		Trouble:   func(err error) { t.Error(err) },
	})
	if err := h.Open(run, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h.Listen(ctx)
	say := func(text string) {
		t.Helper()
		if _, err := (notify.Client{Socket: h.Address()}).Status(text); err != nil {
			t.Fatal(err)
		}
	}
	say("before")
	if got := <-said; got != "before" {
		t.Error(got)
	}
	_ = l.Ask(ctx, func() { err = h.Pause() })
	if err != nil {
		t.Fatal(err)
	}
	for paused := false; !paused; {
		_ = l.Ask(ctx, func() { paused = h.Paused() })
	}
	say("meanwhile")
	_ = l.Ask(ctx, func() {
		if len(said) > 0 {
			t.Error("heard in the pause:", <-said)
		}
		h.Resume()
	})
	if got := <-said; got != "meanwhile" {
		t.Error(got)
	}
	all := make(chan struct{})
	say("the last")
	_ = l.Ask(ctx, func() { h.WhenAllIsHeard(func() bool { return true }, func() { close(all) }) })
	<-all
	if len(said) != 1 {
		t.Error("not all is heard")
	}
	cancel()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestRenew: a socket that is gone is made again by the same name, and who has connected to the old
// one is heard still.
func TestRenew(t *testing.T) {
	run, err := os.MkdirTemp("/tmp", "hearing-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	l, end := owned()
	defer end()
	h := New(Options{Loop: l, Trouble: func(err error) { t.Error(err) }})
	if err := h.Open(run, 0); err != nil {
		t.Fatal(err)
	}
	path := h.Address()
	if missing, err := h.Renew(run); missing || err != nil {
		t.Error("it is there:", missing, err)
	}
	for range mostRenewed + 2 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if missing, err := h.Renew(run); !missing || err != nil || h.Address() != path {
			t.Fatal(missing, err, h.Address())
		}
	}
	if len(h.renewed) != mostRenewed {
		t.Errorf("%d old ones are kept", len(h.renewed))
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// While a start is under way, the descriptors of whoever sends some are kept in a number that
// leaves enough for us; and none is when it is known that they are nobody's.
func TestDescriptorsOfStrangersAreBounded(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	many := make([]int, 253)
	for i := range many {
		many[i] = int(null.Fd())
	}
	expecting := true
	var troubles []string
	h := New(Options{
		Take: func(Message) bool { return false }, Expecting: func() bool { return expecting },
		Trouble: func(err error) { troubles = append(troubles, err.Error()) },
	})
	store := notify.Message{FDStore: true, FDName: "x"}
	for range 2 * mostUnknown {
		h.Heard(Message{Sender: sys.Sender{PID: 7777}, Message: store, Files: many})
	}
	kept := 0
	for _, m := range h.unknown {
		kept += len(m.Files)
	}
	if kept != len(many) || len(h.unknown) != mostUnknown {
		t.Errorf("%d descriptors in %d messages", kept, len(h.unknown))
	}
	if len(troubles) == 0 || !strings.Contains(troubles[0], "too many descriptors") {
		t.Error(troubles)
	}
	if h.Again(); len(h.unknown) != mostUnknown {
		t.Errorf("%d are kept while starts are under way", len(h.unknown))
	}
	expecting = false
	if h.Again(); len(h.unknown) != 0 {
		t.Errorf("%d messages are kept for nobody", len(h.unknown))
	}
	deadline := time.Now().Add(10 * time.Second)
	for open(t) > 20 && time.Now().Before(deadline) { // they are closed elsewhere
		time.Sleep(time.Millisecond)
	}
	if n := open(t); n > 20 {
		t.Errorf("%d descriptors are open", n)
	}
}

// open is how many descriptors we have.
func open(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

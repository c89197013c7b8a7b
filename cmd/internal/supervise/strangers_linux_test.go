package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// A standstill that is given up between the deadline that ends hear's wait and its turn with the
// owner must not leave it deaf.
func TestDeafOnlyWhileStandingStill(t *testing.T) {
	bubble(t, func(b *bench) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		heard := make(chan struct{})
		go func() {
			b.becomeDeaf(ctx)
			close(heard)
		}()
		synctest.Wait()
		select {
		case <-heard:
		default:
			t.Error("nothing stands still, and nobody is heard any more")
		}
		b.inOwner(func() {
			if b.still.deaf {
				t.Error("the next standstill would begin without waiting for what was heard")
			}
		})
	})
}

// While a start is under way, the descriptors of whoever sends some are kept in a number that
// leaves enough for us.
func TestDescriptorsOfStrangersAreBounded(t *testing.T) {
	bubble(t, func(b *bench) {
		b.k.slow = true
		s := b.put(plain("s", func(s *spec.Service) { s.FDStore = 3 }))
		b.inOwner(func() { b.want([]*service{s}, orderStart) })
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		many := make([]int, 253)
		for i := range many {
			many[i] = int(null.Fd())
		}
		store := notify.Message{FDStore: true, FDName: "x"}
		b.inOwner(func() {
			for range 2 * mostUnheard {
				b.heard(heardMessage{sender: sys.Sender{PID: 7777}, Message: store, files: many})
			}
			kept := 0
			for _, m := range b.unheard {
				kept += len(m.files)
			}
			if kept != len(many) || len(b.unheard) != mostUnheard {
				t.Errorf("%d descriptors in %d messages", kept, len(b.unheard))
			}
		})
		if len(b.troubles) == 0 || !strings.Contains(b.troubles[0], "too many descriptors") {
			t.Error(b.troubles)
		}
		b.k.set(func() { b.k.slow = false })
		time.Sleep(spawnTime)
		b.inOwner(func() {
			if len(b.unheard) != 0 {
				t.Errorf("%d messages are kept for nobody", len(b.unheard))
			}
		})
	})
}

func TestLastWordsAreShort(t *testing.T) {
	long := strings.Repeat("x", wordsMost-1) + "é" + strings.Repeat("y", 1<<20)
	got := shortened([]string{"short", long})
	if got[0] != "short" || got[1] != strings.Repeat("x", wordsMost-1)+"…" {
		t.Errorf("%d bytes, %d bytes", len(got[0]), len(got[1]))
	}
}

// Of two changes of a log that are made at the same time, the later one holds, whichever is the
// last to be done.
func TestLogSettingsOfTheLastChange(t *testing.T) {
	dir := t.TempDir()
	b := newBench(t)
	var err error
	if b.logs, err = logs.New(logs.Options{Dir: filepath.Join(dir, "run")}); err != nil {
		t.Fatal(err)
	}
	to := func(name string) spec.Service {
		return plain("s", func(s *spec.Service) { s.Log.File = filepath.Join(dir, name) })
	}
	s := b.put(to("first"))
	config, err := logConfig(s.spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.stream, err = b.logs.Open("s", config); err != nil {
		t.Fatal(err)
	}
	end := b.run()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.ask(ctx, func() {
		s.spec = to("second")
		b.described(s)
		b.reconfigure(s)
		s.spec = to("third") // while that is under way; the one for this has been faster
		b.described(s)
	}); err != nil {
		t.Fatal(err)
	}
	for working := true; working; time.Sleep(time.Millisecond) {
		if err := b.ask(ctx, func() { working = b.loop.Busy() }); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.stream.ServiceEnd()
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.WriteString("hello\n")
	if err := errors.Join(err, s.stream.Drain(), out.Close()); err != nil {
		t.Error(err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "third")); string(text) != "hello\n" {
		t.Errorf("%q, %v", text, err)
	}
}

package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/spec"
)

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
	config, err := supervised.LogConfig(s.spec, dir)
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

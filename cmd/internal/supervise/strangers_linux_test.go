package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/spec"
)

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
	config, err := supervised.LogConfig(*s.Spec(), dir)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := b.logs.Open("s", config)
	if err != nil {
		t.Fatal(err)
	}
	s.PrintInto(stream)
	end := b.run()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.ask(ctx, func() {
		s.Describe(to("second"))
		b.described(s)
		b.reconfigure(s)
		s.Describe(to("third")) // while that is under way; the one for this has been faster
		b.described(s)
	}); err != nil {
		t.Fatal(err)
	}
	for working := true; working; time.Sleep(time.Millisecond) {
		if err := b.ask(ctx, func() { working = b.loop.Busy() }); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.Stream().ServiceEnd()
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.WriteString("hello\n")
	if err := errors.Join(err, s.Stream().Drain(), out.Close()); err != nil {
		t.Error(err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "third")); string(text) != "hello\n" {
		t.Errorf("%q, %v", text, err)
	}
}

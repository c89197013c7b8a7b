package spawn

import (
	"context"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

// dying is a newborn that panics, after it has ended its crash output, and set one of its own
// before that.
var dying = proctest.Register("dying", func(args []string) int {
	b := Inherited()
	for _, do := range args {
		var err error
		switch do {
		case "own":
			err = debug.SetCrashOutput(b.Files[0], debug.CrashOptions{})
		case "end":
			err = b.EndCrashOutput()
		}
		if err != nil {
			return 3
		}
	}
	panic("oops")
})

// TestCrashOutput: what the runtime says of a newborn's end is in the launcher's file until that is
// ended, unless the program wants it elsewhere.
func TestCrashOutput(t *testing.T) {
	for args, want := range map[string]struct{ ours, its bool }{
		"":            {ours: true},
		"end":         {},
		"end,end":     {},
		"own":         {its: true},
		"own,end":     {its: true},
		"end,own,end": {its: true},
	} {
		proctest.CheckLeaks(t)
		ours, its := named(t, "ours"), named(t, "its")
		l, err := Detach(context.Background(), &Spec{
			Path: dying.Path(t), Args: append([]string{"dying"}, strings.Split(args, ",")...),
			Birth: &Birth{Crash: ours, Files: []*os.File{its}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for e := range l.Events {
			if e.Exit == nil || *e.Exit != (Exit{Code: 2}) {
				t.Errorf("%q: %+v", args, e)
			}
		}
		if err := l.Kill(0); err != nil {
			t.Error(err)
		}
		for f, want := range map[*os.File]bool{ours: want.ours, its: want.its} {
			b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
			if is := strings.HasPrefix(string(b), "panic: oops\n"); is != want || err != nil ||
				!want && len(b) > 0 {
				t.Errorf("%q: %s has %q, %v", args, f.Name(), b, err)
			}
		}
	}
}

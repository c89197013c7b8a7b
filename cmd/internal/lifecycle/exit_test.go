package lifecycle

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/spec"
)

// What is tried again is not said to be tried no more.
func TestExhaustedText(t *testing.T) {
	for retry, want := range map[spec.Duration]string{
		0:                        "it broke; restarted 3 times in 1m, no more",
		spec.Duration(time.Hour): "it broke; restarted 3 times in 1m, and not again for 1h",
	} {
		if got := exhaustedText("it broke", 3,
			spec.Budget{Window: new(spec.Duration(time.Minute)), Retry: retry}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLastWordsAreShort(t *testing.T) {
	long := strings.Repeat("x", wordsMost-1) + "é" + strings.Repeat("y", 1<<20)
	got := shortened([]string{"short", long})
	if got[0] != "short" || got[1] != strings.Repeat("x", wordsMost-1)+"…" {
		t.Errorf("%d bytes, %d bytes", len(got[0]), len(got[1]))
	}
}

func TestTailWithin(t *testing.T) {
	lines := []string{"old", "one", "two"}
	for n, want := range map[int64][]string{
		0: {}, 3: {"two"}, 4: {"two"}, 7: {"one", "two"}, 8: {"one", "two"}, 99: lines,
	} {
		if got := tailWithin(slices.Clone(lines), n); !slices.Equal(got, want) {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}

func TestWhoRanOutOfMemory(t *testing.T) {
	limited, unlimited := &cgroup.Group{Dir: t.TempDir()}, &cgroup.Group{Dir: t.TempDir()}
	err := os.WriteFile(limited.Dir+"/memory.events", []byte("low 0\noom 3\noom_kill 2\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	killed, unknown, failed := &control.Exit{Signal: sigKill}, &control.Exit{Unknown: true},
		&control.Exit{Code: 1}
	for _, test := range []struct {
		what  string
		group *cgroup.Group
		state control.State
		exit  *control.Exit
		want  bool
	}{
		{"killed in its group", limited, Ready, killed, true},
		{"killed somewhere while another is", unlimited, Ready, killed, true},
		{"taken over, and memory is limited", limited, Ready, unknown, true},
		{"taken over, and memory is not", unlimited, Ready, unknown, false},
		{"taken over, and stopped by us", limited, Stopping, unknown, false},
		{"ended by itself", limited, Ready, failed, false},
	} {
		h := Shared{Kernel: Kernel{OOMKills: func() (uint64, error) { return 1, nil }}}
		if got := h.ranOutOfMemory(test.group, test.state, test.exit); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}

// TestExitOfAnOlderJournal: a version that did not keep what is said of an exit has kept how it
// was.
func TestExitOfAnOlderJournal(t *testing.T) {
	for want, stored := range map[string]storedExit{
		"exited with status 3":              {Code: 3},
		"ended, and how is not known":       {Unknown: true},
		"killed by SIGKILL (out of memory)": {Signal: 9, OOM: true},
		"as it says":                        {Code: 3, Text: "as it says"},
	} {
		if got := stored.exit().Text; got != want {
			t.Errorf("%+v: %q, not %q", stored, got, want)
		}
	}
}

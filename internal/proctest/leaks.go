package proctest

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// leaveTime is how long what was told to end may take to be gone, on a machine that
// has much else to do. Only the tests of this package change it.
var leaveTime = 20 * time.Second

// CheckLeaks fails the test if a descriptor, a process or a goroutine that was
// not there when it was called is still there when the test has ended and its
// other clean-ups have run. Processes that are left are killed. Call it first
// in a test, and not in one that runs in parallel with others: what those
// have open would be blamed on this one.
func CheckLeaks(t testing.TB) {
	t.Helper()
	goroutines := goroutineStacks()
	system := systemBefore(t)
	t.Cleanup(func() {
		t.Helper()
		system.check(t)
		var left []string
		if poll(leaveTime, func() error {
			left = newGoroutines(goroutines)
			return anyLeft(left)
		}) != nil {
			t.Errorf("%d goroutines left:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

func anyLeft(left []string) error {
	if len(left) > 0 {
		return fmt.Errorf("%d left", len(left))
	}
	return nil
}

// goroutineStacks returns the stack of every goroutine by its "goroutine N".
func goroutineStacks() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := map[string]string{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		id, _, _ := strings.Cut(stack, " [")
		stacks[id] = stack
	}
	return stacks
}

// newGoroutines returns the stacks of goroutines that are not in before. The
// ones that package os/signal starts at its first use stay for good.
func newGoroutines(before map[string]string) []string {
	now := goroutineStacks()
	var left []string
	for _, id := range slices.Sorted(maps.Keys(now)) {
		stack := now[id]
		if before[id] == "" && !strings.Contains(stack, "os/signal.signal_recv") &&
			!strings.Contains(stack, "runtime.ensureSigM") {
			left = append(left, stack)
		}
	}
	return left
}

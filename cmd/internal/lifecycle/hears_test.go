package lifecycle

import (
	"errors"
	"fmt"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/spec"
)

func TestMay(t *testing.T) {
	for access, want := range map[spec.NotifyAccess]string{
		spec.NotifyNone: "false false false", spec.NotifyMain: "true false false",
		spec.NotifyExec: "true true false", spec.NotifyAll: "true true true",
	} {
		main, helper := may(access, children.Main), may(access, children.Helper)
		if got := fmt.Sprint(main, helper, may(access, children.Other)); got != want {
			t.Errorf("%s: main process, helper, others: %s, want %s", access, got, want)
		}
	}
}

// An answer of a liveness check that is late tells nothing of the next process.
func TestLivenessOfAnEarlierRun(t *testing.T) {
	b := newBench(t, trueService())
	b.place(Ready, hWant)
	b.checkedLife(b.run-1, 99, errors.New("a test"))
	if b.state != Ready {
		t.Errorf("it is %v", b.state)
	}
	b.checkedLife(b.run, 99, errors.New("a test"))
	if b.state != Stopping {
		t.Errorf("it is %v", b.state)
	}
}

// A refusal is forgotten with the run that it was of, also when nobody has told the end of it.
func TestRefusalEndsWithTheRun(t *testing.T) {
	b := newBench(t, trueService())
	b.refused = "may not be ended"
	if b.Start(); b.refused != "" {
		t.Error(b.refused)
	}
	b.settle()
}

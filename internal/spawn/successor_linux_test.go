package spawn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

// successorProgram says who its parent is as often as it is asked, and ends with 7 when it is told
// to, with 8 when nobody is left to tell it.
var successorProgram = proctest.Register("successor", func([]string) int {
	b := Inherited()
	if b == nil || !b.Successor {
		return 50
	}
	for {
		m, err := b.Receive()
		switch {
		case err == io.EOF:
			return 8
		case err != nil:
			return 51
		case string(m) == "end":
			return 7
		}
		if b.Send([]byte(fmt.Sprint(os.Getppid()))) != nil {
			return 52
		}
	}
})

func startApartSuccessor(t *testing.T) *Successor {
	t.Helper()
	h, err := StartSuccessorApart(t.Context(),
		&Spec{
			Path:  successorProgram.Path(t),
			Args:  []string{"successor"},
			Files: []File{{1, os.Stdout}, {2, os.Stderr}},
		}, os.Stdin, nil)
	if err != nil {
		t.Fatal(err)
	}
	proctest.KillAtEnd(t, h.PID)
	return h
}

// parent asks the successor for its parent.
func parent(t *testing.T, h *Successor) string {
	t.Helper()
	if err := h.Send([]byte("who")); err != nil {
		t.Fatal(err)
	}
	m, err := h.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return string(m)
}

// TestSuccessorApart: its parent is a process between us as long as it is not let go, and that one
// tells how it ended.
func TestSuccessorApart(t *testing.T) {
	proctest.CheckLeaks(t)
	h := startApartSuccessor(t)
	if p := parent(t, h); p != fmt.Sprint(h.between.pid) {
		t.Errorf("parent %s, not %d", p, h.between.pid)
	}
	if err := h.Send([]byte("end")); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exit, err := h.Reap(); err != nil || exit.Code != 7 {
		t.Errorf("%v, %v", exit, err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestSuccessorLetGo: the moment LetGo returns, the successor has another parent, and lives.
func TestSuccessorLetGo(t *testing.T) {
	proctest.CheckLeaks(t)
	h := startApartSuccessor(t)
	between := fmt.Sprint(h.between.pid)
	if err := h.LetGo(); err != nil {
		t.Fatal(err)
	}
	if p := parent(t, h); p == between || p == fmt.Sprint(os.Getpid()) {
		t.Errorf("parent %s is still below us", p)
	}
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestSuccessorBetweenKilled: the successor goes on; only how it ends is not known any more.
func TestSuccessorBetweenKilled(t *testing.T) {
	proctest.CheckLeaks(t)
	h := startApartSuccessor(t)
	between := h.between.pid
	if err := syscall.Kill(between, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	parent(t, h)
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exit, err := h.Reap(); err == nil || !strings.Contains(err.Error(),
		fmt.Sprintf("process %d, which could tell how it ended", between)) {
		t.Errorf("%v, %v", exit, err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestSuccessorApartFails: what cannot be executed is told with step and reason, and no process is
// left.
func TestSuccessorApartFails(t *testing.T) {
	proctest.CheckLeaks(t)
	h, err := StartSuccessorApart(t.Context(),
		&Spec{Path: "/no/such/program", Args: []string{"x"}, Files: []File{{2, os.Stderr}}},
		os.Stdin, nil)
	var step *StepError
	if h != nil || !errors.As(err, &step) || step.Step != StepExec ||
		!errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v, %v", h, err)
	}
}

// unknown is a successor that asks whether it is known.
var unknown = proctest.Register("unknown-successor", func([]string) int {
	if err := Inherited().Known(); err != nil {
		fmt.Println(err)
		return 9
	}
	return 0
})

// TestSuccessorUnknown: the process between was killed after it had started the successor and
// before it could say so. Two must not serve.
func TestSuccessorUnknown(t *testing.T) {
	proctest.CheckLeaks(t)
	for _, known := range []bool{false, true} {
		o, err := successorOrders(nil, os.Stdin, nil)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs, err := o.give()
		if err != nil {
			t.Fatal(err)
		}
		cmd := unknown.Command(t)
		cmd.Stdin = os.NewFile(uintptr(theirs), "channel")
		if known {
			err = sendFrame(ours, frameKnown, nil)
		}
		if err := errors.Join(err, ours.Close()); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.Output()
		if known != (err == nil) ||
			!known && string(out) != "the process that started this one has given it up\n" {
			t.Errorf("known %v: %q, %v", known, out, err)
		}
		cmd.Stdin.(*os.File).Close()
	}
}

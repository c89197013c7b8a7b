package proctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Moments are n points of time spread over a run of what command makes, and a fifth beyond: a run
// is as long as the median of three that nobody disturbs. What they leave, undo ends.
func Moments(t testing.TB, n int, command func() *exec.Cmd, undo func()) []time.Duration {
	t.Helper()
	var took []time.Duration
	for range 3 {
		began := time.Now()
		_ = command().Run() // it may be one that fails
		took = append(took, time.Since(began))
		undo()
	}
	slices.Sort(took)
	moments := make([]time.Duration, n)
	for i := range moments {
		moments[i] = took[1] * time.Duration(i) * 6 / time.Duration(5*n)
	}
	return moments
}

// marks counts what Interrupt has started.
var marks atomic.Int64

// Interrupt starts a launcher, sends it a signal after so long, and returns when it and all stages
// that it has started are gone: how it ended, and what is left of its launch. Whatever it starts is
// known by a variable in its environment.
func Interrupt(
	t testing.TB, cmd *exec.Cmd, after time.Duration, sig syscall.Signal,
) (end *os.ProcessState, left []int) {
	t.Helper()
	mark := fmt.Sprintf("PROCTEST_LAUNCH=%d.%d", os.Getpid(), marks.Add(1))
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, mark)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-time.After(after)
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the state says it all
	before := []int{-1}
	Eventually(t, time.Minute, func() (err error) {
		left, err = marked(mark)
		// one that is forked while we look may be missed once
		if err == nil && !slices.Equal(left, before) {
			before, err = left, errors.New("it has not come to rest")
		}
		return err
	})
	return cmd.ProcessState, left
}

// marked lists the processes that run with that in their environment. An error means that there is
// a stage among them.
func marked(mark string) (pids []int, err error) {
	children, _ := processTable()
	for _, list := range children {
		for _, p := range list {
			s, readErr := ReadState(p.pid)
			if readErr != nil || !slices.Contains(s.Environ, mark) {
				continue // gone, or another user's
			}
			pids = append(pids, p.pid)
			if len(s.Args) == 1 && strings.HasPrefix(s.Args[0], "daemonry-stage") {
				err = errors.Join(err, fmt.Errorf("a stage is left: %v", p))
			}
		}
	}
	slices.Sort(pids)
	return pids, err
}

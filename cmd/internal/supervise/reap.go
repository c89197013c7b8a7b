package supervise

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/internal/sys"
)

// reapAll takes in every dead child: main processes, helper commands, and the orphans that
// were made ours.
//
// The pid of a child that has not been reaped cannot be given to another process. So that a pid in
// byPID, commands or orphans is always safe to signal, only this function reaps, and no child
// before it is known whose it is: one that may be of a start that has not told its pid yet stays a
// zombie until it has.
//
// To find that nobody is dead the kernel looks at every child (wait_consider_task in
// kernel/exit.c): with thousands of them it is not to be asked without a reason.
func (e *Engine) reapAll() {
	e.births.unseen = true
	for {
		pid, err := e.kernel.dead()
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			e.reapKnown()
			return
		case errors.Is(err, syscall.ECHILD) || err == nil && pid == 0:
			clear(e.births.unclaimed) // whoever was dead has been reaped by those who failed to start it
			e.births.unseen = false
			return
		case err != nil:
			e.o.Trouble(err)
			return
		case !e.isChild(pid) && e.births.mayHaveBorn(pid):
			e.reapKnown() // the kernel shows us only the first of the dead
			return
		}
		if !e.reap(pid) {
			return
		}
	}
}

// reapKnown asks after each child that is known, one by one.
func (e *Engine) reapKnown() {
	for _, pid := range slices.Concat(slices.Collect(maps.Keys(e.byPID)), slices.Collect(maps.Keys(e.commands)), slices.Collect(maps.Keys(e.orphans)), slices.Collect(maps.Keys(e.programs))) {
		if e.isChild(pid) {
			e.reap(pid)
		}
	}
}

// isChild says whether the engine knows pid as that of a child that has not been reaped. What an
// earlier supervisor has left is none, and if its number belongs to a child by now, to one that
// nobody knows yet.
func (e *Engine) isChild(pid int) bool {
	if e.inheritance.byPID[pid] != nil {
		return false
	}
	_, adopted := e.orphans[pid]
	return adopted || e.byPID[pid] != nil || e.commands[pid] != nil || e.programs[pid] != nil
}

// reap takes in one child, and says whether it was dead.
func (e *Engine) reap(pid int) bool {
	status, ok, err := e.kernel.reap(pid)
	if errors.Is(err, syscall.ECHILD) && !e.isChild(pid) {
		return true // by who failed to start it: the runtime reaps a child that could not execute its program (forkExec)
	}
	if err != nil {
		e.o.Trouble(err)
	}
	if ok {
		delete(e.births.unclaimed, pid)
		e.died(pid, status)
	}
	return ok
}

// died finds out whose process that was.
func (e *Engine) died(pid int, status exitStatus) {
	if !e.isChild(pid) {
		return
	}
	if s := e.byPID[pid]; s != nil {
		delete(e.byPID, pid)
		e.mainDied(s, status)
		return
	}
	if c := e.commands[pid]; c != nil {
		e.commandDied(c, status)
		return
	}
	if p := e.programs[pid]; p != nil {
		e.programDied(p)
		return
	}
	if _, ok := e.orphans[pid]; ok {
		e.orphanDied(pid)
	}
}

// mainDied makes sure that the last output is on disk before anybody hears of the death.
func (e *Engine) mainDied(s *service, status exitStatus) {
	if s.nextMain != 0 && e.lookForLeftovers(s) && e.orphans[s.nextMain] == s {
		e.takeMain(s)
		return
	}
	s.draining = true
	stream := s.stream
	if stream == nil {
		e.drained(s, status, nil, nil)
		return
	}
	inherited := s.inherited
	e.work(func() func() {
		ctx, cancel := context.WithTimeoutCause(context.Background(), drainTime, errDrainTime)
		defer cancel()
		last, err := sys.Within(ctx, "write the last output", func() (lastOutput, error) { return drain(stream) }, nil)
		return func() {
			words := last.words
			if !inherited { // of a run that another engine has seen the beginning of, all may be its own
				words = tailWithin(words, last.bytes-s.printed)
			}
			if _, stuck := errors.AsType[*sys.StuckError](err); !stuck {
				s.printed = last.bytes
			}
			e.drained(s, status, shortened(words), err)
		}
	})
}

// drainTime is how long the end of a service waits for its log: a file system that does not answer
// may hold that up.
const drainTime = 10 * time.Second

var errDrainTime = fmt.Errorf("not within %v", drainTime)

// lastOutput are the last words in a log, and how much there is in all.
type lastOutput struct {
	words []string
	bytes int64
}

// drain waits until all that was printed is on disk.
func drain(stream *logs.Stream) (last lastOutput, err error) {
	err = stream.Drain()
	words, tailErr := stream.Tail(lastWords)
	stats, statsErr := stream.Stats()
	if err == nil {
		err = errors.Join(tailErr, statsErr)
	}
	return lastOutput{words, stats.Bytes}, err
}

// tailWithin leaves of the last lines of a log those that are among the last n bytes: what came
// before is an earlier run's.
func tailWithin(lines []string, n int64) []string {
	for i := len(lines) - 1; i >= 0; i-- {
		if n -= int64(len(lines[i])); n < 0 {
			return lines[i+1:]
		}
		n-- // the newline
	}
	return lines
}

// lastWords is how many of the last lines an exit tells, and wordsMost how many bytes of each: they
// are in a thousand events, in the status and in the journal.
const (
	lastWords = 10
	wordsMost = 1024
)

// shortened leaves of each line as much as is kept.
func shortened(lines []string) []string {
	for i, l := range lines {
		if len(l) > wordsMost {
			lines[i] = strings.ToValidUTF8(l[:wordsMost], "") + "…"
		}
	}
	return lines
}

func (e *Engine) drained(s *service, status exitStatus, words []string, err error) {
	if err != nil {
		e.emit(s, Event{Kind: EventLog, Reason: err.Error()})
	}
	s.draining = false
	x := status.exit()
	x.Words = words
	e.happen(s, hExited, cause{exit: x, text: "exited"})
}

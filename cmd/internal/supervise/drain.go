package supervise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
)

// Ending says that the main process has ended, and that Died will say how.
func (s *service) Ending() { s.draining = true }

// Died makes sure that the last output is on disk before anybody hears of the death.
func (s *service) Died(status children.Exit) {
	e := s.engine
	s.draining = true
	stream := s.stream
	if stream == nil {
		e.drained(s, status, nil, nil)
		return
	}
	adopted := s.Adopted()
	e.work(func() func() {
		ctx, cancel := context.WithTimeoutCause(context.Background(), drainTime, errDrainTime)
		defer cancel()
		last, err := sys.Within(ctx, "write the last output", func() (lastOutput, error) { return drain(stream) }, nil)
		return func() {
			words := last.words
			if !adopted { // of a run that another engine has seen the beginning of, all may be its own
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

func (e *Engine) drained(s *service, status children.Exit, words []string, err error) {
	if err != nil {
		e.tell(s, control.EventLog, "%v", err)
	}
	s.draining = false
	x := exitOf(status)
	x.Words = words
	e.happen(s, hExited, cause{exit: x, text: "exited"})
}

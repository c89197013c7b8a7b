package notify

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// infinity is USEC_INFINITY of systemd, which as an interval is as wrong as zero.
const infinity = "18446744073709551615"

// WatchdogInterval returns within what time a sign of life is due again and
// again, as sd_watchdog_enabled(3) reads it: $WATCHDOG_USEC, if $WATCHDOG_PID is
// unset or is this process. Zero means that nobody waits for one. Either variable counts as unset
// if it is empty, as in go-systemd, where sd_watchdog_enabled(3) returns -EINVAL. Give it every
// half interval: that is what KeepAlive does.
func WatchdogInterval() (time.Duration, error) {
	text := os.Getenv("WATCHDOG_USEC")
	if text == "" {
		return 0, nil
	}
	interval, problem := parseUsec(text)
	if problem != "" || interval == 0 || text == infinity {
		return 0, fmt.Errorf("$WATCHDOG_USEC: %s is not a number of microseconds above zero",
			quoteShort(text))
	}
	if text := os.Getenv("WATCHDOG_PID"); text != "" {
		pid, err := strconv.ParseUint(text, 10, 31)
		if err != nil || pid == 0 {
			return 0, fmt.Errorf("$WATCHDOG_PID: %s is not a process id", quoteShort(text))
		}
		if int(pid) != os.Getpid() {
			return 0, nil // inherited from the process that it is meant for
		}
	}
	return interval, nil
}

// KeepAlive gives signs of life, the first at once and one every half
// WatchdogInterval, as long as check, which may be nil, returns nil. It returns
//
//   - nil at once when nobody waits for them;
//   - the error of check, before which no sign is given: let the watchdog do
//     its work, or call KeepAlive again;
//   - when ctx ends, nil, or the error of the last sign if it could not be given. It
//     does not return earlier for that: the manager may be in the middle of being replaced.
//
// check runs in the caller's goroutine and must itself end well within half the
// interval; asking the part of the program that could hang is its purpose.
func (c Client) KeepAlive(ctx context.Context, check func() error) error {
	interval, err := WatchdogInterval()
	if err != nil || interval == 0 {
		return err
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	var last error
	for {
		if check != nil {
			if err := check(); err != nil {
				return fmt.Errorf("watchdog: %w", err)
			}
		}
		if _, err := c.send(ctx, Message{Watchdog: true}, nil); ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

package upgrade

import (
	"context"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
)

// barrierWait bounds the wait for a manager to have read what it was told.
const barrierWait = 5 * time.Second

// sayReplaced tells the manager that the successor is the main process and that the reload which
// Reloading announced is finished. Both are in one message, because after the first the manager
// listens to the successor alone (NotifyAccess=main). It returns when the manager has read it:
// before, this process must not end, or it would be the main process that has died.
func (u *Upgrader) sayReplaced(pid int) error {
	m := notify.Message{Ready: true}
	if u.heritage.waiter == nil { // else the main process stays the one that it was
		id, err := sys.PidfdID(pid)
		if sys.IfSupported(err) != nil {
			return err
		}
		m.MainPID, m.MainPIDFDID = pid, id // 0 where the kernel has no such names
	}
	sent, err := u.o.Notify.Send(m)
	if !sent || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), barrierWait)
	defer cancel()
	_, err = u.o.Notify.Barrier(ctx)
	return err
}

// sayFailed ends the reload where it began, and shows why to people.
func (u *Upgrader) sayFailed(why error) error {
	text := status(why)
	_, err := u.o.Notify.Send(notify.Message{Ready: true, Status: &text})
	return err
}

// status is one line of an error for people.
func status(err error) string {
	text := []rune(fmt.Sprintf("upgrade failed: %v", err))
	for i, r := range text {
		if r < ' ' {
			text[i] = ' '
		}
	}
	return spawn.Shorten(string(text), mostStatus)
}

// mostStatus leaves room for the rest of a message (notify.MaxSize).
const mostStatus = 2 << 10

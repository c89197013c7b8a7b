package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// TestWithoutNewCalls: each system call that a kernel may not have, or a filter may refuse, is done
// without, whichever of the two answers comes: ENOSYS, or EPERM of filters that predate the call.
func TestWithoutNewCalls(t *testing.T) {
	proctest.CheckLeaks(t)
	for _, call := range proctest.NewCalls() {
		for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM} {
			if call == "clone3" && errno == syscall.EPERM {
				// no thread can be made then in a test that is linked to glibc, whose
				// pthread_create knows ENOSYS alone
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", call, errno), func(t *testing.T) {
				out, err := without.Command(t, call, strconv.Itoa(int(errno)),
					newborn.Path(t)).CombinedOutput()
				if err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}

// without starts, signals, waits for and ends processes in every way.
var without = proctest.Register("without", func(args []string) int {
	errno, err := strconv.Atoi(args[1])
	if err == nil {
		err = proctest.ForbidCall(args[0], syscall.Errno(errno))
	}
	for _, step := range []func() error{
		heldAndSignalled, detachedAndKilled, func() error { return bornAndEnded(args[2]) }, filed,
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

// heldAndSignalled starts processes on a thread and by a stage, and ends them by a held process.
func heldAndSignalled() error {
	for _, nnp := range []bool{false, true} {
		s := sleep()
		s.NoNewPrivs = nnp
		pid, err := Start(context.Background(), s)
		if err != nil {
			return err
		}
		p, err := sys.Pin(pid)
		if err != nil {
			return fmt.Errorf("pin: %w", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(p.Signal(0), p.Signal(syscall.SIGTERM), p.Wait(ctx)); err != nil {
			return err
		}
		if _, _, ok, err := sys.ReapChild(pid); !ok || err != nil {
			return fmt.Errorf("reap: %v, %w", ok, err)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal to one that is reaped: %w", err)
		}
		if err := p.Close(); err != nil {
			return err
		}
	}
	return nil
}

func detachedAndKilled() error {
	for _, nested := range []bool{false, true} {
		s := sleep()
		if nested {
			s.Rlimits = []Rlimit{{Name: "core", Resource: syscall.RLIMIT_CORE}}
		}
		l, err := Detach(context.Background(), s)
		if err != nil {
			return err
		}
		if err := l.Kill(time.Minute); err != nil {
			return err
		}
	}
	return nil
}

func bornAndEnded(path string) error {
	l, err := Detach(context.Background(),
		&Spec{Path: path, Args: []string{"newborn"}, Birth: &Birth{}})
	if err != nil {
		return err
	}
	var exit *Exit
	for e := range l.Events {
		if e.Exit != nil {
			exit = e.Exit
		}
	}
	if exit == nil || exit.Code != 7 {
		return fmt.Errorf("the newborn %v", exit)
	}
	return l.Kill(0)
}

// filed uses what is not processes'.
func filed() error {
	f, err := sys.MemoryFile("test")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := sys.Statx(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err != nil {
		return err
	}
	_, err = os.Stat("/")
	return err
}

// A process that we may not signal is not tried again by its number: the pidfd's refusal counts,
// unless a filter answers for it.
func TestRefusalIsNoFilter(t *testing.T) {
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		if ids, err := sys.ReadUserIDs(1); err != nil || ids.SignalledBy(os.Getuid()) {
			t.Logf("process 1 is ours, or not there: %v, %v", ids, err)
			return
		}
		f, err := sys.PidfdOpen(1)
		if errors.Is(err, errors.ErrUnsupported) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := sys.PidfdSendSignal(f, 0); !errors.Is(err, syscall.EPERM) ||
			!strings.Contains(err.Error(), "pidfd_send_signal") {
			t.Errorf("%v, want that pidfd_send_signal is refused", err)
		}
	})
}

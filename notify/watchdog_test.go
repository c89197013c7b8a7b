//go:build linux

package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func setWatchdog(t *testing.T, usec, pid string) {
	t.Helper()
	for name, value := range map[string]string{"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid} {
		t.Setenv(name, value)
		if value == "unset" {
			os.Unsetenv(name)
		}
	}
}

func TestWatchdogInterval(t *testing.T) {
	self, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		wrong     bool
	}{
		{"unset", "unset", 0, false},
		{"unset", self, 0, false},
		{"20000000", "unset", 20 * time.Second, false},
		{"20000000", self, 20 * time.Second, false},
		{"20000000", other, 0, false},
		{"1", self, time.Microsecond, false},
		{"18446744073709551614", self, Forever, false},
		{"18446744073709551615", self, 0, true},
		{"0", self, 0, true},
		{"", self, 0, false},
		{"", "", 0, false},
		{" ", self, 0, true},
		{"-1", self, 0, true},
		{"1s", self, 0, true},
		{"0", other, 0, true},
		{"1", "0", 0, true},
		{"1", "", time.Microsecond, false},
		{"1", "-5", 0, true},
		{"1", "me", 0, true},
	} {
		setWatchdog(t, c.usec, c.pid)
		if got, err := WatchdogInterval(); got != c.want || (err != nil) != c.wrong {
			t.Errorf("%+v: %v %v", c, got, err)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	s := listen(t, "")
	setWatchdog(t, "10000000", "unset")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sick := errors.New("sick")
		health := make(chan error, 1)
		done := make(chan error)
		start := time.Now()
		go func() {
			done <- Client{Socket: s.Address}.KeepAlive(ctx, func() error {
				select {
				case err := <-health:
					return err
				default:
					return nil
				}
			})
		}()
		for i := range 4 {
			text, _ := receive(t, s)
			if want := time.Duration(i) * 5 * time.Second; text != "WATCHDOG=1" ||
				time.Since(start) != want {
				t.Errorf("sign %d: %q after %v, want %v", i, text, time.Since(start), want)
			}
			time.Sleep(5 * time.Second)
		}
		receive(t, s) // the fifth, sent at the same moment as the sleep ended
		health <- sick
		if err := <-done; !errors.Is(err, sick) {
			t.Errorf("%v", err)
		}
		if !empty(s) {
			t.Error("a sign of life of a sick program")
		}

		go func() { done <- Client{Socket: s.Address}.KeepAlive(ctx, nil) }()
		receive(t, s)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended as asked: %v", err)
		}
	})
}

// The manager is away for a while: KeepAlive goes on, and tells only if the last
// sign failed.
func TestKeepAliveOutlivesManager(t *testing.T) {
	address := fmt.Sprintf("@notify-away-%d", os.Getpid())
	setWatchdog(t, "10000000", "unset")
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- Client{Socket: address}.KeepAlive(ctx, nil) }()
			time.Sleep(12 * time.Second)
			if back {
				s := listen(t, address)
				time.Sleep(5 * time.Second)
				receive(t, s)
			}
			synctest.Wait()
			cancel()
			if err := <-done; (err == nil) != back {
				t.Errorf("back %v: %v", back, err)
			}
		})
	}
}

func TestKeepAliveNotAsked(t *testing.T) {
	setWatchdog(t, "unset", "unset")
	err := Client{}.KeepAlive(t.Context(), func() error { return errors.New("asked for nothing") })
	if err != nil {
		t.Error(err)
	}
	setWatchdog(t, "soon", "unset")
	if err := (Client{}).KeepAlive(t.Context(), nil); err == nil {
		t.Error("a wrong interval went unnoticed")
	}
}

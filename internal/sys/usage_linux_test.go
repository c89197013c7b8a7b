package sys

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestReadUsage(t *testing.T) {
	before, err := ReadUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Memory < 1<<20 {
		t.Errorf("memory of a Go program: %d bytes", before.Memory)
	}
	// Until the kernel counts three ticks more: on an idle or a busy machine, time spent is spent.
	deadline := time.Now().Add(time.Minute)
	for {
		now, err := ReadUsage(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now.CPU >= before.CPU+3*userTick {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute of work: %v, before: %v", now.CPU, before.CPU)
		}
	}
	if _, err := ReadUsage(1 << 30); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("no such process: %v", err)
	}
}

func TestParseCPU(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1 (a) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 5":            2 * time.Second,
		"1 (b) S 9 (c) d) S 0 1 1 0 -1 4194560 1 2 3 4 1 0 7 8 20 0 1 0 5":    10 * time.Millisecond,
		"1 (a) S 0 1 1 0 -1 4194560 1 2 3 4 18446744073709551615 50 7 8 20 0": -1,
		"1 (a) S 0 1": -1,
		"":            -1,
	} {
		got, err := parseCPU([]byte(text))
		if want >= 0 && (err != nil || got != want) || want < 0 && err == nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

package sys

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// exhausted takes all descriptors below a low limit.
func exhausted(t *testing.T) (free func(n int)) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	last, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	kept := []*os.File{last}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
		for _, f := range kept {
			f.Close()
		}
	})
	low := syscall.Rlimit{Cur: uint64(last.Fd()) + 20, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		kept = append(kept, f)
	}
	return func(n int) {
		for _, f := range kept[len(kept)-n:] {
			f.Close()
		}
		kept = kept[:len(kept)-n]
	}
}

func TestHaveDescriptors(t *testing.T) {
	if err := HaveDescriptors(10); err != nil {
		t.Fatal(err)
	}
	free := exhausted(t)
	if err := HaveDescriptors(1); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("none left: %v", err)
	}
	free(5)
	for range 3 { // nothing is kept by the question
		if err := HaveDescriptors(5); err != nil {
			t.Errorf("5 of 5: %v", err)
		}
		if err := HaveDescriptors(6); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("6 of 5: %v", err)
		}
	}
}

func TestReserve(t *testing.T) {
	var r Reserve
	if err := r.Fill(4); err != nil {
		t.Fatal(err)
	}
	exhausted(t)
	if err := r.Fill(5); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("more than there are: %v", err)
	}
	if n := r.Release(); n != 4 {
		t.Errorf("released %d", n)
	}
	if err := HaveDescriptors(4); err != nil {
		t.Errorf("what was in it is not to be had: %v", err)
	}
	if err := r.Fill(6); !errors.Is(err, syscall.EMFILE) || r.Release() != 4 {
		t.Errorf("a part of it: %v", err)
	}
}

package sys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Who opens as another user is as dumpable as before, however many do so at once.
func TestOpenInputStaysDumpable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("an ordinary user opens as nobody else")
		return
	}
	get := func() int {
		now, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	set := func(v uintptr) {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, v, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	defer set(uintptr(get()))
	for _, before := range []int{1, 0} {
		set(uintptr(before))
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				f, err := OpenInput("/dev/null", &Credential{UID: 65534, GID: 65534})
				if err != nil {
					t.Error(err)
					return
				}
				f.Close()
			})
		}
		wg.Wait()
		if now := get(); now != before {
			t.Errorf("dumpable: %d, was %d", now, before)
		}
	}
}

// TestVerifyProcessCredentialSeesEveryThread: one that is another user is found.
func TestVerifyProcessCredentialSeesEveryThread(t *testing.T) {
	groups, err := unix.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	own := Credential{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	for _, g := range groups {
		own.Groups = append(own.Groups, uint32(g))
	}
	verify := func() error {
		threads, err := OpenThreads()
		if err != nil {
			t.Fatal(err)
		}
		defer threads.Close()
		return VerifyProcessCredential(own, threads)
	}
	if err := errors.Join(SetProcessCredential(own), verify()); err != nil {
		t.Errorf("what it is already: %v", err)
	}
	if os.Getuid() != 0 {
		t.Log("a thread of an ordinary user can become nobody else")
		return
	}
	changed, seen := make(chan int), make(chan struct{})
	go OnThread(func() {
		if err := setThreadIDs("setresuid", sysSetresuid, 65534); err != nil {
			t.Error(err)
		}
		changed <- unix.Gettid()
		<-seen
	})
	tid := <-changed
	want := fmt.Sprintf("thread %d: uids are [65534 65534 65534 65534], not 0", tid)
	if err := verify(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	close(seen)
}

func TestUnmapped(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	overflow := file("overflow", "65534\n")
	for text, want := range map[string]bool{
		"         0          0 4294967295\n":                  false, // no namespace
		"         0       1000          1\n":                  true,
		"         0       1000          1\n 1 100000 65536\n": false, // 65534 is somebody inside
		"         0     100000      65534\n":                  true,
		"":                                                    false,
		"rubbish":                                             false,
	} {
		ranges := file("map", text)
		if got := unmapped(65534, ranges, overflow); got != want {
			t.Errorf("%q: %v", text, got)
		}
		if unmapped(1000, ranges, overflow) || unmapped(65534, ranges, filepath.Join(dir, "none")) {
			t.Errorf("%q: somebody else is unmapped", text)
		}
	}
}

package sys

import (
	"os"
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

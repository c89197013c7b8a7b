package sys

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inThread returns what f says on a thread of its own.
func inThread(f func() error) error {
	result := make(chan error)
	OnThread(func() { result <- f() })
	return <-result
}

// threadUser returns the ids of one thread.
func threadUser(tid int) (uid, gid [4]uint32, groups []uint32, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
	if err != nil {
		return uid, gid, nil, err
	}
	st, err := parseStatus(data)
	return st.UID, st.GID, st.Groups, err
}

// TestCredentialOfOneThread changes a thread's user and looks at all threads: package syscall would
// change them all.
func TestCredentialOfOneThread(t *testing.T) {
	uid, gid := os.Getuid(), os.Getgid()
	err := inThread(func() error {
		want := Credential{UID: 65534, GID: 65534}
		if err := SetThreadCredential(want, DropCaps); err != nil {
			if uid != 0 && errors.Is(err, unix.EPERM) {
				return nil // an ordinary user may not
			}
			return err
		}
		if err := VerifyCredential(want, 0); err != nil {
			return err
		}
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			var tid int
			if _, err := fmt.Sscan(thread.Name(), &tid); err != nil {
				return err
			}
			u, g, groups, err := threadUser(tid)
			switch {
			case Gone(err): // it has ended
			case err != nil:
				return err
			case tid == unix.Gettid():
				if u != [4]uint32{65534, 65534, 65534, 65534} || g != u || len(groups) > 0 {
					t.Errorf("the thread is user %v, group %v, groups %v", u, g, groups)
				}
			case int(u[0]) != uid || int(u[1]) != uid || int(g[0]) != gid:
				t.Errorf("another thread is user %v, group %v", u, g)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// kernelHas says whether the kernel is at least that old. Distributions that take single features
// into older kernels are rare enough for a test.
func kernelHas(t *testing.T, major, minor int) bool {
	t.Helper()
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var release []byte
	for _, c := range u.Release {
		release = append(release, byte(c))
	}
	var gotMajor, gotMinor int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &gotMajor, &gotMinor); err != nil {
		t.Fatalf("release %q: %v", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}

package sys

import (
	"fmt"
	"syscall"
	"testing"
)

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

package sys

import (
	"os"
	"syscall"
	"testing"
)

func TestLimitsOf(t *testing.T) {
	limits, err := LimitsOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range limits {
		number, ok := RlimitNumber(name)
		if !ok {
			t.Errorf("%s has no number", name)
			continue
		}
		var want syscall.Rlimit
		if err := syscall.Getrlimit(number, &want); err != nil || uint64(want.Cur) != got.Soft || uint64(want.Max) != got.Hard {
			t.Errorf("%s: %+v, the kernel says %+v, %v", name, got, want, err)
		}
	}
	if len(limits) != len(rlimitNumbers) {
		t.Errorf("%d limits of %d", len(limits), len(rlimitNumbers))
	}
}

func TestParseLimitsThatAreNone(t *testing.T) {
	for text, wrong := range map[string]bool{
		"":                                     false,
		"Max of a newer kernel     1 2 things": false,
		"Max open files            1":          true,
		"Max open files            many 2":     true,
	} {
		if limits, err := parseLimits([]byte(text)); (err != nil) != wrong || len(limits) > 0 {
			t.Errorf("%q: %v, %v", text, limits, err)
		}
	}
}

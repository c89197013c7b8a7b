// Package boottest boots real Debian systems with their real init systems, reboots them, and looks
// what came back.
//
// A machine is a tree on disk in which systemd-nspawn starts init as process 1.
// The tests look at it from outside, by what the programs in it write to disk,
// and type commands into it with nsenter. .ci/real/boot builds and runs all of
// this in a mount and pid namespace of its own, so that nothing outlives it.
package boottest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// dir holds the trees, and the programs that the script has built.
var dir = os.Getenv("BOOTTEST_DIR")

func TestMain(m *testing.M) {
	if self, err := os.Executable(); err == nil && strings.HasPrefix(self, probeDir+"/") {
		if self == probeDir+"/"+clientName {
			os.Exit(client(os.Args[1:]))
		}
		os.Exit(probe(self))
	}
	if dir == "" {
		fmt.Fprintln(os.Stderr,
			"boottest: run .ci/real/boot: it makes the namespaces that this needs")
		os.Exit(1)
	}
	if err := debootstrap(); err != nil {
		fmt.Fprintln(os.Stderr, "boottest:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

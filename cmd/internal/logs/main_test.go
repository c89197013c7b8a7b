package logs

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the programs that the tests need: DAEMONRY_TEST_HELPER names the
// one.
func TestMain(m *testing.M) {
	if name := os.Getenv("DAEMONRY_TEST_HELPER"); name != "" {
		if err := helpers[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

var helpers = map[string]func(args []string) error{
	"engine":  helperEngine,
	"counter": helperCounter,
}

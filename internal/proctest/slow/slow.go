// Package slow has the initialisation of a test program, in every process of it, take as long as a
// variable of the environment says, or fail.
package slow

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Variable names it. Packages are initialised in the order of their paths, so that this one comes
// before internal/spawn. It is a duration; or one of these and what is to be printed on standard
// error:
//
//	says    nothing more
//	prints  the same on standard output
//	waits   and does so for an hour
//	exits   with status 3
//	panics
//
// With "deaf " in front of the duration SIGTERM is ignored.
const Variable = "PROCTEST_INIT_TAKES"

// Took is how long it took.
var Took = wait()

func wait() time.Duration {
	how, text, _ := strings.Cut(os.Getenv(Variable), " ")
	switch how {
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		how = text
	case "says", "waits", "exits":
		_, _ = os.Stderr.WriteString(text + "\n")
	case "prints":
		_, _ = os.Stdout.WriteString(text + "\n")
	case "panics":
		panic(text)
	}
	switch how {
	case "exits":
		os.Exit(3)
	case "waits":
		how = "1h"
	}
	d, err := time.ParseDuration(how)
	if err != nil {
		return 0
	}
	<-time.After(d)
	return d
}

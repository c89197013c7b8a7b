// Package slow has the initialisation of a test program, in every process of it, take as long as a
// variable of the environment says.
package slow

import (
	"os"
	"time"
)

// Variable names it. Packages are initialised in the order of their paths, so that this one comes
// before internal/spawn.
const Variable = "PROCTEST_INIT_TAKES"

// Took is how long it took.
var Took = wait()

func wait() time.Duration {
	d, err := time.ParseDuration(os.Getenv(Variable))
	if err != nil {
		return 0
	}
	<-time.After(d)
	return d
}

package spawn

import (
	"fmt"

	"github.com/daemonry/daemonry/internal/sys"
)

// Exit is how a process ended.
type Exit struct {
	Code     int        // exit status, if Signal is 0
	Signal   sys.Signal // what killed it
	CoreDump bool
}

func (e Exit) String() string {
	switch {
	case e.CoreDump:
		return fmt.Sprintf("killed by %s (core dumped)", sys.SignalName(e.Signal))
	case e.Signal != 0:
		return "killed by " + sys.SignalName(e.Signal)
	}
	return fmt.Sprintf("exited with status %d", e.Code)
}

// Status is the exit status that a shell would show: 128+N for signal N.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

package proctest

import (
	"os"
	"os/signal"

	"github.com/daemonry/daemonry/internal/sys"
)

// AsLoggedIn has what the tests start get signals as a login gives them, however the tests were
// started themselves: under nohup(1) SIGHUP is ignored, in the background of a script SIGINT is,
// and an ignored signal is inherited over execve(2). The tests themselves go on not to be ended by
// it. Main does this by itself.
func AsLoggedIn() {
	// A signal that is caught is back at its default after execve(2); one that is ignored is not.
	caught := make(chan os.Signal, 1)
	// of the others the runtime takes no notice of how they were
	for _, s := range []os.Signal{sys.SIGHUP, sys.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
}

package detach_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

// startsEnv is how many starts TestConcurrentStarts makes: 10000 in the continuous integration.
const startsEnv = "DAEMONRY_TEST_STARTS"

// TestConcurrentStarts: however many start with one pid file, one daemon is there, and all others
// say so.
func TestConcurrentStarts(t *testing.T) {
	proctest.CheckLeaks(t)
	starts := 500
	if text := os.Getenv(startsEnv); text != "" {
		var err error
		if starts, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	const atOnce = 100
	for _, ready := range []string{"exec", "settle:1ms"} {
		t.Run(ready, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "d.pid")
			path := daemonry.Path(t)
			var mu sync.Mutex
			var up, other []string
			var wg sync.WaitGroup
			for range atOnce {
				wg.Go(func() {
					for range starts / atOnce / 2 {
						out, err := exec.Command(path, "detach", "--ready", ready, "--pidfile",
							pidFile, "--", "/bin/sleep", "1000").CombinedOutput()
						mu.Lock()
						switch text := string(out); {
						case err == nil:
							up = append(up, strings.TrimSpace(text))
						case !strings.HasPrefix(text, "daemonry: pid file "+pidFile+": ") ||
							err.Error() != "exit status 125":
							other = append(other, fmt.Sprintf("%v: %s", err, text))
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if len(up) != 1 || len(other) > 0 {
				t.Fatalf("%d daemons: %v; %d other failures: %.2000q",
					len(up), up, len(other), other)
			}
			pid := readPID(t, pidFile)
			proctest.KillAtEnd(t, pid)
			if strconv.Itoa(pid) != up[0] || !proctest.Alive(pid) {
				t.Errorf("the pid file says %d, the command %s", pid, up[0])
			}
		})
	}
}

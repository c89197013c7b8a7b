package detach_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// denied executes args[2:] without a system call.
var denied = proctest.Register("denied", func(args []string) int {
	errno, err := strconv.Atoi(args[1])
	if err == nil {
		err = proctest.ForbidCall(args[0], syscall.Errno(errno))
	}
	if err == nil {
		err = syscall.Exec(args[2], args[2:], os.Environ())
	}
	fmt.Println(err)
	return 99
})

// TestDeniedCalls: whichever system call of a launch is refused, the launch ends, with 0 if and
// only if the daemon runs, and else with a reason and nothing left. .ci/sweep does that with each
// single one, and with kills.
func TestDeniedCalls(t *testing.T) {
	for _, call := range append(proctest.LaunchCalls(), proctest.NewCalls()...) {
		for _, errno := range []syscall.Errno{syscall.ENOMEM, syscall.EPERM, syscall.ENOSYS} {
			t.Run(fmt.Sprintf("%s/%d", call, errno), func(t *testing.T) {
				proctest.CheckLeaks(t)
				pidFile := filepath.Join(t.TempDir(), "pid")
				cmd := denied.Command(t, call, strconv.Itoa(int(errno)), daemonry.Path(t), "detach",
					"--timeout", "20s",
					"--ready", "settle:10ms", "--pidfile", pidFile, "--rlimit", "core=0", "--",
					"/bin/sleep", "1000")
				began := time.Now()
				r := finish(t, cmd)
				if took := time.Since(began); took > 100*time.Second {
					t.Errorf("it took %v", took)
				}
				if r.status == 0 {
					pid, err := strconv.Atoi(strings.TrimSpace(r.stdout))
					if err != nil {
						t.Fatalf("%+v", r)
					}
					proctest.KillAtEnd(t, pid)
					if !proctest.Alive(pid) {
						t.Errorf("it does not run: %+v", r)
					}
				} else if r.status == 99 || r.stderr == "" {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

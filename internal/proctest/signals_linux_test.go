package proctest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// born shows what a command is born with that was started by one who was started with signals
// ignored: by itself, and after AsLoggedIn.
var born = Register("born", func(args []string) int {
	if len(args) > 0 {
		AsLoggedIn()
	}
	cmd := exec.Command("cat", "/proc/self/status")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if cmd.Run() != nil {
		return 1
	}
	return 0
})

func TestAsLoggedIn(t *testing.T) {
	CheckLeaks(t)
	h := Hostile{Ignore: []syscall.Signal{syscall.SIGHUP, syscall.SIGINT}}
	for _, c := range []struct {
		args []string
		want string
	}{{nil, "0000000000000003"}, {[]string{"yes"}, "0000000000000000"}} {
		out, err := h.Command(t, append([]string{born.Path(t)}, c.args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SigIgn:\t"+c.want) {
			t.Errorf("%q: %v, want %s ignored:\n%s", c.args, err, c.want, out)
		}
	}
}

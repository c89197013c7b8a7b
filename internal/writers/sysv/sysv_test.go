package sysv

import (
	"os/exec"
	"testing"

	"github.com/daemonry/daemonry/spec"
)

// TestSignals: start-stop-daemon takes every signal that a service can have, in a
// schedule and alone.
func TestSignals(t *testing.T) {
	for _, s := range append(spec.SignalNames(), "RTMIN", "RTMIN+3", "RTMAX-1", "RTMAX") {
		parsed, err := spec.ParseSignal(string(s))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/sbin/start-stop-daemon", "--stop", "--test", "--oknodo", "--pidfile",
			t.TempDir()+"/none", "--retry", signal(parsed)+"/5/KILL/5")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", s, err, out)
		}
	}
	if got := signal("WINCH"); got != "-28" {
		t.Errorf("WINCH is %s", got)
	}
}

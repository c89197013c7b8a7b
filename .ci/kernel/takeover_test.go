package kernel

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// Services outlive a supervisor that is killed, with their groups and limits; what becomes of them
// then is told as before.
func TestTakenOver(t *testing.T) {
	s := newSite(t, `
[service.a]
command = ["sh", "-c", "sleep 1000 & setsid env -i sleep 1001 & exec sleep 1002"]
[service.b]
command = ["@", "hog", "later"]
restart = "on-failure"
[service.b.limits]
memory = "48MiB"
swap = "0B"
`)
	s.daemonry("up", "-f", s.file())
	a, b := s.status("a"), s.status("b")
	groupA, groupB := groupOf(t, a.PID), groupOf(t, b.PID)
	for range 3 {
		s.kill()
		if gotA, gotB := s.status("a"), s.status("b"); gotA != a || gotB != b {
			t.Fatalf("%+v %+v, were %+v %+v", gotA, gotB, a, b)
		}
	}
	members := strings.Fields(read(t, groupA+"/cgroup.procs"))
	if len(members) != 3 {
		t.Errorf("processes of a: %v", members)
	}
	if err := syscall.Kill(b.PID, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.wait("b to be started again",
		func() bool { st := s.status("b"); return st.Restarts == 1 && st.State == "ready" })
	exit := s.status("b").Exit
	t.Logf("how b ended, which the supervisor had taken over: %s", exit.Text)
	if !strings.Contains(exit.Text, "out of memory") {
		t.Errorf("b: %+v", exit)
	}
	again := groupOf(t, s.status("b").PID)
	if again == groupB || read(t, again+"/memory.max") != "50331648" {
		t.Errorf("b is in %s, was in %s", again, groupB)
	}
	s.daemonry("stop", "a")
	for _, pid := range members {
		if s.alive(pid) {
			t.Errorf("process %s of a lives", pid)
		}
	}
}

// alive says whether a process runs: it is there, and no zombie.
func (s site) alive(pid string) bool {
	text, _ := os.ReadFile("/proc/" + pid + "/stat")
	_, after, ok := strings.Cut(string(text), ") ")
	return ok && !strings.HasPrefix(after, "Z")
}

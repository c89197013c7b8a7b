package supervise

import (
	"errors"
	"os"
	"syscall"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// startAsAnother starts a service whose file of variables is opened as its user: the supervisor may
// be looked into, and leaves a core dump, as before. A change of fsuid ends both (PR_SET_DUMPABLE,
// prctl(2)).
func startAsAnother(s scene) error {
	const getDumpable = 3 // PR_GET_DUMPABLE
	before, _, _ := syscall.RawSyscall6(syscall.SYS_PRCTL, getDumpable, 0, 0, 0, 0, 0)
	file := s.path("vars")
	if err := os.WriteFile(file, []byte("A=1\n"), 0o644); err != nil {
		return err
	}
	p := spec.Process{EnvFile: []string{file}, ClearEnv: true}
	if os.Getuid() == 0 {
		p.User = "nobody"
		if err := os.Chmod(s.dir, 0o755); err != nil {
			return err
		}
	}
	other := spec.Service{
		Name:    "other",
		Process: p,
		Command: spec.Command{"/bin/sleep", "1000"},
		Ready:   spec.Probe{Kind: spec.ProbeExec},
	}
	err := errors.Join(s.apply(other), s.until("other",
		func(st control.Status) bool { return st.State == Ready || st.State == Failed }))
	after, _, _ := syscall.RawSyscall6(syscall.SYS_PRCTL, getDumpable, 0, 0, 0, 0, 0)
	return errors.Join(err, want("state", s.one("other").State, Ready),
		want("dumpable", after, before))
}

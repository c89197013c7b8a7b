package supervise

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// afterwards looks at what a scenario has left when the engine has ended.
var afterwards = map[string]func(scene) error{
	"shutdown order over many services": downInLayers,
	"log program gets every line, its successor too": func(s scene) error {
		b, err := os.ReadFile(s.path("out"))
		var want strings.Builder
		for i := range 150 {
			fmt.Fprintln(&want, "line", i)
		}
		want.WriteString("last words\n")
		if string(b) != want.String() {
			err = errors.Join(err,
				fmt.Errorf("the programs read %d bytes, want %d:\n%s", len(b), want.Len(), b))
		}
		if starts, _ := os.ReadFile(s.path("starts")); strings.Count(string(starts), "\n") < 2 {
			err = errors.Join(err, fmt.Errorf("one program alone: %q", starts))
		}
		return err
	},
	"log program that does not end is killed": func(s scene) error {
		pid, err := s.readPID("pid")
		return errors.Join(err, want("it lives", proctest.Alive(pid), false))
	},
}

func piped(command string) func(*spec.Service) {
	return func(c *spec.Service) {
		c.Log.Targets = []spec.LogTarget{
			{Kind: spec.TargetFile}, {Kind: spec.TargetPipe, Command: command},
		}
	}
}

// pipeIntoPrograms has a service print 150 lines, and its last words when it is stopped, to
// programs that end after 100 lines each.
func pipeIntoPrograms(s scene) error {
	reader := s.path("reader")
	script := "#!/bin/sh\necho $$ >>" + s.path("starts") +
		"\ni=0; while [ $i -lt 100 ] && IFS= read -r l; do echo \"$l\" >>" +
		s.path("out") + "; i=$((i+1)); done\n"
	if err := os.WriteFile(reader, []byte(script), 0o755); err != nil {
		return err
	}
	print := `i=0; while [ $i -lt 150 ]; do echo line $i; i=$((i+1)); done; trap 'echo last words; exit' TERM; while :; do sleep 0.01; done`
	err := s.apply(sh("a", print, piped(reader)))
	for s.Err() == nil {
		if b, _ := os.ReadFile(s.path("out")); strings.HasSuffix(string(b), "line 149\n") {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("not all was read")
}

// pipeIntoDeaf has a program that goes on after the end of its input.
func pipeIntoDeaf(s scene) error {
	command := `sh -c "echo $$ >` + s.path("pid") + `; cat >/dev/null; exec sleep 97"`
	err := s.apply(sh("a", "echo hello; exec sleep 99", piped(command)))
	_, pidErr := s.awaitPID("pid")
	return errors.Join(err, pidErr)
}

// pipeOutlivesService sees the program alive after the stop of the service that it reads, with what
// that leaves behind.
func pipeOutlivesService(s scene) error {
	command := `sh -c "echo $$ >` + s.path("pid") + `; exec cat >/dev/null"`
	err := s.apply(sh("a", "echo hello; sleep 98 & exec sleep 99", piped(command)))
	pid, pidErr := s.awaitPID("pid")
	if err := errors.Join(err, pidErr, s.Stop(s, "a")); err != nil {
		return err
	}
	return errors.Join(want("it lives", proctest.Alive(pid), true), s.Remove(s, "a"),
		s.untilGone(pid))
}

func (s scene) readPID(name string) (int, error) {
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func (s scene) untilGone(pid int) error {
	for s.Err() == nil {
		if !proctest.Alive(pid) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("process %d lives", pid)
}

// A supervisor that is killed leaves no program behind that waits for ever: its input ends.
func TestProgramEndsWithAKilledSupervisor(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "dmn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := doomed.Command(t, dir)
	cmd.Env = append(os.Environ(), "SCENE_CGROUP="+cgroup.None) // nobody comes to remove it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := scene{Context: t.Context(), dir: dir}
	program, err := s.awaitPID("program")
	service, err2 := s.awaitPID("service")
	if err := errors.Join(err, err2, cmd.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	t.Cleanup(func() { _ = sys.Kill(service, 9) })
	if err := s.untilGone(program); err != nil {
		t.Error(err)
	}
	if !proctest.Alive(service) {
		t.Error("the service ended with its supervisor")
	}
}

// doomed is a supervisor with a piped service, to be killed.
var doomed = proctest.Register("doomed", func(args []string) int {
	s, _, err := newScene(args[0])
	if err == nil {
		err = s.apply(sh("a", "echo $$ >"+s.path("service")+"; echo hello; exec sleep 20",
			piped(`sh -c "echo $$ >`+s.path("program")+`; exec cat"`)))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	select {}
})

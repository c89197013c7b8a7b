package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// TestHungHoldsNobodyElse has more services than there are places name what does not answer.
func TestHungHoldsNobodyElse(t *testing.T) {
	held := filepath.Join(t.TempDir(), "held")
	if err := os.WriteFile(held, []byte("A=b\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	proctest.HoldOpens(t, held)
	hung := ""
	if os.Getuid() == 0 {
		hung = proctest.HungFS(t, proctest.NeverBegun)
	}
	dir, err := os.MkdirTemp("/tmp", "dmn") // see TestOnTheKernel
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := stage.Command(t, "hung", dir)
	cmd.Env = append(os.Environ(), "HELD="+held, "HUNG="+hung, "TELLER="+teller.Path(t),
		"GORACE="+proctest.RaceSettings())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// hungServices name what does not answer, each in another way, and what their failure says.
func hungServices() (all []spec.Service, words []string) {
	held, hung := os.Getenv("HELD"), os.Getenv("HUNG")
	add := func(word string, change func(*spec.Service)) {
		s := sh(fmt.Sprint("hung", len(all)), "exec sleep 99", func(s *spec.Service) {
			s.Timeout, s.Restart = new(spec.Duration(3*time.Second)), spec.RestartNo
		})
		change(&s)
		all, words = append(all, s), append(words, word+": the file system has not answered: ")
	}
	for range 6 { // places are twice as many as processors
		add("env file "+held, func(s *spec.Service) { s.EnvFile = []string{held} })
	}
	add("execute "+held, func(s *spec.Service) { s.Command = spec.Command{held} })
	if hung == "" {
		return all, words
	}
	for range 6 {
		add("change directory to "+hung, func(s *spec.Service) { s.Chdir = hung })
	}
	add("program "+hung+"/x", func(s *spec.Service) { s.Command = spec.Command{hung + "/x"} })
	add("stdout: open "+hung+"/x",
		func(s *spec.Service) { s.Stdout = spec.Stream{Kind: spec.StreamPath, Path: hung + "/x"} })
	add("look at file:"+hung+"/x",
		func(s *spec.Service) { s.Ready = spec.Probe{Kind: spec.ProbeFile, Target: hung + "/x"} })
	return all, words
}

func hangAround(s scene) error {
	all, words := hungServices()
	failed := make(chan error)
	begun := time.Now()
	go func() { failed <- s.apply(all...) }()
	err := s.until(all[len(all)-1].Name,
		func(st control.Status) bool { return st.State == Starting })
	other := sh("other", "exec \"$TELLER\" READY=1",
		func(c *spec.Service) { c.Ready = spec.Probe{Kind: spec.ProbeNotify} })
	_, otherErr := s.Apply(s, Apply{Source: "other", Services: []spec.Service{other}})
	err = errors.Join(err, otherErr, s.Restart(s, "other"))
	if took := time.Since(begun); took > 2*time.Second {
		fmt.Println("a loaded machine:", took)
	} else if st := s.one(all[0].Name); st.State != Starting {
		err = errors.Join(err, fmt.Errorf("%s is %v, and was to hang", st.Name, st.State))
	}
	if applyErr := <-failed; applyErr == nil {
		err = errors.Join(err, errors.New("they came up"))
	}
	for i, h := range all {
		if st := s.one(h.Name); !strings.Contains(st.Reason, words[i]) {
			err = errors.Join(err,
				fmt.Errorf("%s: %v: %s\nnot %s", st.Name, st.State, st.Reason, words[i]))
		}
	}
	if startErr := s.Start(s, all[0].Name); startErr == nil ||
		!strings.Contains(startErr.Error(), supervised.ErrStuck.Error()) {
		err = errors.Join(err, fmt.Errorf("the next start: %w", startErr))
	}
	if startErr := s.Start(s, all[0].Name); startErr == nil ||
		!strings.Contains(startErr.Error(), supervised.ErrStuck.Error()) {
		err = errors.Join(err, fmt.Errorf("the one after that: %w", startErr))
	}
	return errors.Join(err, s.Stop(s, all[0].Name))
}

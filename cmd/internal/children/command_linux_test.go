package children

import (
	"slices"
	"testing"
	"time"
)

// A helper command is not taken for a leftover in the moment before its pid is known.
func TestCommandThatIsBeingStarted(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.start(one)
	c := one.NewCommand(time.Hour, func(error) {})
	b := s.Expect()
	b.begin()
	pid := s.k.born(process{parent: us, invocation: one.invocation, mine: true})
	s.Look(&one.Unit)
	if one.HasLeftovers() {
		t.Error("it was taken for one")
	}
	s.ChangeMain(&one.Unit, pid)
	b.over(func() { b.Started(c, pid) })()
	if u, role := s.Speaker(pid); u != &one.Unit || role != Helper || one.PID() == pid {
		t.Error("it is not a helper:", u, role, one.PID())
	}
	s.check()
}

// TestWhoIsNoCommandBeingStarted: while a helper command is being started, only what may be it is
// left alone: what is in the session of the main process is a leftover, and who was announced is
// the next main process.
func TestWhoIsNoCommandBeingStarted(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	main := s.start(one)
	left := s.k.born(process{parent: main, session: main, invocation: one.invocation, mine: true})
	next := s.k.born(process{parent: main, invocation: one.invocation, mine: true})
	s.ChangeMain(&one.Unit, next)
	c := one.NewCommand(time.Hour, func(error) {})
	b := s.Expect()
	b.begin()
	pid := s.k.born(process{parent: us, invocation: one.invocation, mine: true})
	before := s.k.born(process{parent: us, session: us, invocation: one.invocation, mine: true})
	s.k.die(main)
	s.Reap()
	s.Look(&one.Unit)
	if one.PID() != next {
		t.Errorf("the main process is %d, not %d", one.PID(), next)
	}
	for who, is := range map[int]bool{left: true, pid: false, before: false} {
		if _, has := one.leftovers[who]; has != is {
			t.Errorf("%d is a leftover: %v", who, has)
		}
	}
	s.k.die(before)
	b.over(func() { b.Started(c, pid) })()
	s.check()
}

// TestEndedCommand: how a command ended is told once, and the reason is the one that we know.
func TestEndedCommand(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(s *scene, c *Command, pid int)
		want string
	}{
		"well": {func(s *scene, _ *Command, pid int) { s.k.die(pid) }, ""},
		"killed": {func(s *scene, c *Command, _ int) { s.EndCommand(c) },
			"ended with the service"},
		"killed with all": {
			func(s *scene, c *Command, _ int) { s.EndCommands(c.unit, true) },
			"ended with the service",
		},
		"spared": {
			func(s *scene, c *Command, pid int) {
				c.Finishes = true
				s.EndCommands(c.unit, false)
				s.k.die(pid)
			},
			"",
		},
		"killed with the others": {
			func(s *scene, c *Command, _ int) { s.EndCommands(c.unit, false) },
			"ended with the service",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "s")
			one := s.services[0]
			s.start(one)
			told := []string{}
			c := one.NewCommand(time.Hour, func(err error) {
				text := ""
				if err != nil {
					text = err.Error()
				}
				told = append(told, text)
			})
			b := s.Expect()
			b.begin()
			pid := s.k.born(process{parent: us, invocation: one.invocation, mine: true})
			b.over(func() { b.Started(c, pid) })()
			test.end(s, c, pid)
			s.Reap()
			if !slices.Equal(told, []string{test.want}) || one.Busy() || !s.Idle() {
				t.Errorf("told %q, want %q", told, test.want)
			}
			s.check()
		})
	}
}

package supervise

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

const bug = "bug"

// becomes is the state of a service after something has happened to it in a state, with what else
// can be seen of it. The columns: want, unwant, restart, dependencies met, spawned, spawn error, ready, not ready,
// exited, gone, delay over, step over, unhealthy, listening, connection, idle; beside, described,
// placed, cut short, left behind.
var becomes = map[control.State][numHappenings]string{
	Stopped: {"starting", "stopped", "starting", "stopped", bug, bug, "stopped", "stopped", bug, bug, "stopped", "stopped", "stopped", bug, "stopped", "stopped",
		"starting", "stopped", "failed", "stopped", "stopped"},
	Waiting: {"waiting", "stopped", "waiting", "starting", bug, bug, "waiting", "waiting", bug, "waiting", "waiting", "waiting", "waiting", bug, "waiting", "waiting",
		bug, "waiting", "failed", "waiting", "waiting"},
	Starting: {"starting", "stopping", "stopping", "starting", "starting", "starting", "ready", "stopping TERM",
		"starting", "starting", "starting", "starting", "stopping TERM", "listening", "starting", "starting",
		bug, "starting", "failed", "starting", "starting"},
	Ready: {"ready", "stopping TERM", "stopping TERM", "ready", bug, bug, "ready", "ready", "starting", "ready", "ready", "ready", "stopping TERM", bug, "ready", "stopping TERM",
		bug, "ready", "failed", "ready", "ready"},
	Stopping: {"stopping again", "stopping", "stopping again", "stopping", "stopping TERM", "stopped", "stopping", "stopping",
		"stopped", "stopped", "stopping", "stopping TERM", "stopping", "stopped", "stopping", "stopping",
		bug, "stopping", "failed", "stopping", "failed"},
	Backoff: {"starting", "stopped", "starting", "backoff", bug, bug, "backoff", "backoff", bug, "backoff", "starting", "backoff", "backoff", bug, "backoff", "backoff",
		bug, "backoff", "failed", "backoff", "backoff"},
	Failed: {"starting", "stopped", "starting", "failed", bug, bug, "failed", "failed", bug, "failed", "starting", "failed", "failed", bug, "failed", "failed",
		bug, "failed", "failed", "failed", "failed"},
	Listening: {"listening", "stopped", "starting", "listening", bug, bug, "listening", "listening", bug, "listening", "listening", "listening", "listening",
		bug, "starting", "listening",
		bug, "starting", "failed", "starting", "listening"},
}

// TestEveryCell drives a service into each state and lets everything happen to it there.
// The answer is the state after it, with what else can be seen of it.
func TestEveryCell(t *testing.T) {
	same := func(s control.State) string { return string(s) }
	for state := range reactions() {
		for h := range numHappenings {
			t.Run(fmt.Sprintf("%v/%v", state, h), func(t *testing.T) {
				b := newBench(t)
				b.k.deaf = true
				s := b.put(plain("s"))
				b.table = reactions()
				if b.table[state][h] == nil {
					t.Fatal("empty cell")
				}
				b.place(s, state, h)
				b.happen(s, h, causeOf(h))
				got := same(s.state)
				if s.again && s.state == Stopping {
					got += " again"
				}
				if slices.Contains(b.k.sent(), fmt.Sprintf("%d SIGTERM", s.PID())) {
					got += " TERM"
				}
				if len(b.troubles) > 0 && h != hLeftBehind { // of which people are told
					got = bug
					if s.state != state {
						t.Errorf("a bug changed the state to %v", s.state)
					}
				}
				if h == hUnwant && (state == Starting) {
					got = string(s.state) // signals: see hSpawned
				}
				if h == hRestart && state == Starting {
					got = string(s.state)
				}
				if got != becomes[state][h] {
					t.Errorf("%q, want %q", got, becomes[state][h])
				}
				b.settle()
			})
		}
	}
}

// place puts s into a state as the engine would have it there.
func (b *bench) place(s *service, state control.State, h happening) {
	process := func(dead bool) {
		s.startedAt, s.run = time.Now(), 1
		b.procs.Announce(&s.Unit, "")
		birth := b.procs.Expect()
		if h == hSpawnError || h == hListening {
			birth.None(&s.Unit)
			return
		}
		pid, _, _ := b.k.fork(&spawn.Spec{})
		birth.Main(&s.Unit, children.Identity{PID: pid}, sys.FileID{})
		if dead {
			s.Gone()
		}
	}
	switch state {
	case Starting, Ready:
		s.wanted = true
		process(h == hExited)
	case Stopping:
		process(h == hGone)
	case Waiting, Backoff, Failed, Listening:
		s.wanted = true
	}
	b.happen(s, hPlaced, cause{state: state})
}

func causeOf(h happening) cause {
	c := cause{text: "a test"}
	switch h {
	case hSpawnError:
		c.err = errShort
	case hExited:
		c.exit = &control.Exit{Code: 1, Text: "exited with status 1"}
	case hPlaced:
		c.state = Failed
	}
	return c
}

// settle does what is posted, as Run would, until nothing is.
func (b *bench) settle() {
	for range 1000 {
		if b.loop.Run() == 0 && !b.loop.Busy() && !b.state.Busy() && !b.journal.Busy() {
			return
		}
		time.Sleep(10 * time.Microsecond)
	}
}

// check holds what must always hold.
func (b *bench) check() {
	b.Helper()
	alive := 0
	for _, s := range b.byName {
		if isAlive(s.state) {
			alive++
		}
		name := s.spec.Name
		if s.PID() != 0 && !s.draining && !b.isMain(s) {
			b.Errorf("%s: process %d is not found by its pid", name, s.PID())
		}
		if s.PID() == 0 && (s.state == Ready && s.spec.Type != spec.Oneshot) {
			b.Errorf("%s: ready without a process", name)
		}
		if (s.state == Stopped || s.state == Failed || s.state == Backoff || s.state == Waiting || s.state == Listening) && (s.PID() != 0 || s.HasLeftovers() || s.spawning()) {
			b.Errorf("%s: %v, with process %d, some left behind: %v, spawning %v", name, s.state, s.PID(), s.HasLeftovers(), s.spawning())
		}
		if s.holding && s.state != Stopping {
			b.Errorf("%s: holds a stop while %v", name, s.state)
		}
		if s.state == Backoff && !s.timers[timerDelay].Set() {
			b.Errorf("%s: in backoff with nothing to end it", name)
		}
		if s.state == Stopped && !s.wanted && len(s.waiters) > 0 {
			for _, w := range s.waiters {
				if !w.watches {
					b.Errorf("%s: stopped, and somebody still waits", name)
				}
			}
		}
	}
	for s := range b.stopping {
		if s.state != Stopping && s.state != Ready && s.state != Starting {
			b.Errorf("%s: to end together with others, and %v", s.spec.Name, s.state)
		}
	}
	b.k.set(func() {
		if len(b.k.strayed) > 0 {
			b.Errorf("signals to strangers: %v", b.k.strayed)
		}
	})
	if alive != b.alive {
		b.Errorf("%d services live, counted %d", alive, b.alive)
	}
}

// TestOnlyHappenChangesAState reads the package: one function sets a state, and whoever calls it is
// for reactions, which happen calls. That nobody calls those at another time is seen when they run
// (set).
func TestOnlyHappenChangesAState(t *testing.T) {
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var setters, callers []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, left := range n.Lhs {
						if sel, ok := left.(*ast.SelectorExpr); ok && sel.Sel.Name == "state" {
							setters = append(setters, f.Name.Name)
						}
					}
				case *ast.CallExpr:
					if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "set" {
						callers = append(callers, f.Name.Name)
					}
				}
				return true
			})
		}
	}
	if !slices.Equal(setters, []string{"set"}) {
		t.Errorf("a state is set in %q", setters)
	}
	slices.Sort(callers)
	if !slices.Equal(callers, []string{"enter", "placed", "takePlace"}) {
		t.Errorf("set is called in %q", callers)
	}
}

// TestStatesPage: docs/design/supervisor.md says what leads from which state to which. UPDATE=1
// writes it.
func TestStatesPage(t *testing.T) {
	const page, begin, end = "../../../docs/design/supervisor.md", "<!-- states -->\n", "<!-- end -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the page has no place for the table")
	}
	want := statesTable()
	if table == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the page says\n%s\nand so it is:\n%s", table, want)
	}
	if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// statesTable has a row for each state, with what leads out of it.
func statesTable() string {
	all := []control.State{Stopped, Waiting, Starting, Ready, Stopping, Backoff, Failed, Listening}
	b := strings.Builder{}
	b.WriteString("| in | what happens | becomes |\n|---|---|---|\n")
	for _, from := range all {
		for _, to := range all {
			var why []string
			for h := range numHappenings {
				if got, _, _ := strings.Cut(becomes[from][h], " "); got == string(to) && to != from && h != hPlaced {
					why = append(why, h.String())
				}
			}
			if len(why) > 0 {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", from, strings.Join(why, ", "), to)
			}
		}
	}
	return b.String()
}

package lifecycle

import (
	"errors"
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
	"github.com/daemonry/daemonry/internal/sys"
)

const bug = "bug"

// becomes is the state of a service after something has happened to it in a state, with what else
// can be seen of it. The columns: want, unwant, restart, dependencies met, spawned, spawn error,
// ready, not ready, exited, gone, delay over, step over, unhealthy, listening, connection, idle;
// beside, described, placed, cut short, left behind.
var becomes = map[control.State][numHappenings]string{
	Stopped: {"starting", "stopped", "starting", "stopped", bug, bug, "stopped", "stopped", bug,
		bug, "stopped", "stopped", "stopped", bug, "stopped", "stopped",
		"starting", "stopped", "failed", "stopped", "stopped"},
	Waiting: {"waiting", "stopped", "waiting", "starting", bug, bug, "waiting", "waiting", bug,
		"waiting", "waiting", "waiting", "waiting", bug, "waiting", "waiting",
		bug, "waiting", "failed", "waiting", "waiting"},
	Starting: {"starting", "stopping", "stopping again TERM", "starting", "starting", "starting",
		"ready", "stopping TERM",
		"starting", "starting", "starting", "starting", "stopping TERM", "listening", "starting",
		"starting", bug, "starting", "failed", "starting", "starting"},
	Ready: {"ready", "stopping TERM", "stopping again TERM", "ready", bug, bug, "ready", "ready",
		"starting", "ready", "ready", "ready", "stopping TERM", bug, "ready", "stopping TERM",
		bug, "ready", "failed", "ready", "ready"},
	Stopping: {"stopping again", "stopping", "stopping again", "stopping", "stopping TERM",
		"stopped", "stopping", "stopping",
		"stopped", "stopped", "stopping", "stopping TERM", "stopping", "stopped", "stopping",
		"stopping", bug, "stopping", "failed", "stopping", "failed"},
	Backoff: {"starting", "stopped", "starting", "backoff", bug, bug, "backoff", "backoff", bug,
		"backoff", "starting", "backoff", "backoff", bug, "backoff", "backoff",
		bug, "backoff", "failed", "backoff", "backoff"},
	Failed: {"starting", "stopped", "starting", "failed", bug, bug, "failed", "failed", bug,
		"failed", "starting", "failed", "failed", bug, "failed", "failed",
		bug, "failed", "failed", "failed", "failed"},
	Listening: {"listening", "stopped", "starting", "listening", bug, bug, "listening", "listening",
		bug, "listening", "listening", "listening", "listening",
		bug, "starting", "listening",
		bug, "starting", "failed", "starting", "listening"},
}

// TestEveryCell drives a service into each state and lets everything happen to it there.
// The answer is the state after it, with what else can be seen of it.
func TestEveryCell(t *testing.T) {
	for state := range reactions() {
		for h := range numHappenings {
			t.Run(fmt.Sprintf("%v/%v", state, h), func(t *testing.T) { tryCell(t, state, h) })
		}
	}
}

func tryCell(t *testing.T, state control.State, h happening) {
	b := newBench(t, trueService())
	if b.shared.table[state][h] == nil {
		t.Fatal("empty cell")
	}
	b.place(state, h)
	b.happen(h, causeOf(h))
	got := string(b.state)
	if b.again && b.state == Stopping {
		got += " again"
	}
	if slices.Contains(b.signals, fmt.Sprintf("%d SIGTERM", 1<<20)) {
		got += " TERM"
	}
	if len(b.troubles) > 0 && h != hLeftBehind { // of which people are told
		got = bug
		if b.state != state {
			t.Errorf("a bug changed the state to %v", b.state)
		}
	}
	if h == hUnwant && state == Starting {
		got = string(b.state) // signals: see hSpawned
	}
	if got != becomes[state][h] {
		t.Errorf("%q, want %q", got, becomes[state][h])
	}
	b.settle()
}

// place puts it into a state as it would have come there.
func (b *bench) place(state control.State, h happening) {
	process := func(dead bool) {
		b.startedAt, b.run = time.Now(), 1
		b.shared.Procs.Announce(&b.Unit, "")
		birth := b.shared.Procs.Expect()
		if h == hSpawnError || h == hListening {
			birth.None(&b.Unit)
			return
		}
		birth.Main(&b.Unit, children.Identity{PID: 1 << 20}, sys.FileID{})
		if dead {
			b.Gone()
		}
	}
	switch state {
	case Starting, Ready:
		b.Wanted = true
		process(h == hExited)
	case Stopping:
		process(h == hGone)
	case Waiting, Backoff, Failed, Listening:
		b.Wanted = true
	}
	b.happen(hPlaced, cause{state: state})
}

func causeOf(h happening) cause {
	c := cause{text: "a test"}
	switch h {
	case hSpawnError:
		c.err = errors.New("a test")
	case hExited:
		c.exit = &control.Exit{Code: 1, Text: "exited with status 1"}
	case hPlaced:
		c.state = Failed
	}
	return c
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
	if !slices.Equal(callers, []string{"Succeed", "enter", "placed"}) {
		t.Errorf("set is called in %q", callers)
	}
}

// TestStatesPage: docs/design/supervisor.md says what leads from which state to which. UPDATE=1
// writes it.
func TestStatesPage(t *testing.T) {
	const page, begin, end = "../../../docs/design/supervisor.md", "<!-- states " +
		"-->\n", "<!-- end -->\n"
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
				if got, _, _ := strings.Cut(becomes[from][h], " "); got == string(to) &&
					to != from && h != hPlaced {
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

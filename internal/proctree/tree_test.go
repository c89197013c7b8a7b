package proctree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

// A table of processes for attribute: each line is pid, parent, group,
// session, start; the main process is 100, this one is 50 unless it says otherwise.
type ps struct{ pid, ppid, pgrp, session, start, tty int }

func attributed(table []ps, self int, o Options, hidden ...int) (members, spared []int, t *tree) {
	t = &tree{options: o, self: self, members: map[int]*member{}, sessions: map[int]bool{}}
	t.gone = func(pid int) bool { return !slices.Contains(hidden, pid) }
	var stats []sys.ProcStat
	for _, p := range table {
		st := sys.ProcStat{PID: p.pid, PPID: p.ppid, PGRP: p.pgrp, Session: p.session,
			StartTime: uint64(p.start), TTYNr: p.tty, State: 'S', Threads: 1}
		if p.pid == 100 {
			t.root = key{100, st.StartTime}
			t.add(st)
		}
		stats = append(stats, st)
	}
	t.attribute(stats, nil)
	for _, m := range t.sorted() {
		if m.spared {
			spared = append(spared, m.PID)
		} else {
			members = append(members, m.PID)
		}
	}
	return members, spared, t
}

func TestAttribute(t *testing.T) {
	shell := []ps{{1, 0, 1, 1, 0, 0}, {40, 1, 40, 40, 10, 5}, {50, 40, 50, 40, 90, 5}}
	tests := []struct {
		name    string
		table   []ps
		self    int
		options Options
		hidden  []int
		members string
		spared  string
	}{
		{"alone", []ps{{100, 1, 99, 99, 20, 0}}, 50, Options{}, nil, "[100]", "[]"},
		{"child", []ps{{100, 1, 100, 100, 20, 0}, {101, 100, 100, 100, 21, 0}}, 50, Options{}, nil,
			"[100 101]", "[]"},
		{"child of an earlier owner of the number",
			[]ps{{100, 1, 100, 100, 20, 0}, {101, 100, 7, 7, 19, 0}}, 50, Options{}, nil,
			"[100]", "[]"},
		{"grandchild in a session of its own, and an orphan there",
			[]ps{{100, 1, 100, 100, 20, 0}, {101, 100, 101, 101, 21, 0}, {102, 1, 101, 101, 22, 0}},
			50, Options{}, nil, "[100 101 102]", "[]"},
		{"orphan in the session it leads", []ps{{100, 1, 100, 100, 20, 0}, {101, 1, 5, 100, 21, 0}},
			50, Options{}, nil, "[100 101]", "[]"},
		{"orphan in the session of the second fork",
			[]ps{{100, 1, 99, 99, 20, 0}, {101, 1, 99, 99, 21, 0}}, 50, Options{}, nil,
			"[100 101]", "[]"},
		{"the same, descendants only", []ps{{100, 1, 99, 99, 20, 0}, {101, 1, 99, 99, 21, 0}}, 50,
			Options{Scope: ScopeDescendants}, nil, "[100]", "[]"},
		{"the same, its leader hidden", []ps{{100, 1, 99, 99, 20, 0}, {101, 1, 99, 99, 21, 0}}, 50,
			Options{}, []int{99}, "[100]", "[]"},
		{"job of a shell that ended", []ps{{100, 1, 100, 99, 20, 0}, {101, 1, 101, 99, 21, 0}}, 50,
			Options{}, nil, "[100]", "[]"},
		{"session with a terminal", []ps{{100, 1, 99, 99, 20, 5}, {101, 1, 99, 99, 21, 5}}, 50,
			Options{}, nil, "[100]", "[]"},
		{"younger brother", []ps{{100, 1, 99, 99, 20, 0}, {98, 1, 99, 99, 19, 0}}, 50, Options{},
			nil, "[100]", "[]"},
		{
			"session of a living leader",
			[]ps{{99, 1, 99, 99, 20, 0}, {100, 99, 99, 99, 20, 0}, {101, 99, 99, 99, 21, 0}}, 50,
			Options{}, nil, "[100]", "[]",
		},
		{"session from outside of the namespace",
			[]ps{{100, 0, 0, 0, 20, 0}, {101, 0, 0, 0, 21, 0}}, 50, Options{}, nil, "[100]", "[]"},
		{"we are its child",
			[]ps{{100, 1, 100, 100, 20, 0}, {110, 100, 100, 100, 21, 0},
				{111, 100, 100, 100, 21, 0}}, 110, Options{}, nil, "[100 111]", "[110]"},
		{"we are its grandchild and have a pager",
			[]ps{
				{100, 1, 100, 100, 20, 0}, {110, 100, 100, 100, 21, 0}, {111, 110, 100, 100, 22, 0},
				{112, 111, 100, 100, 23, 0},
			}, 111, Options{}, nil, "[100]", "[110 111 112]"},
		{
			"we are its child after the second fork",
			[]ps{{100, 1, 99, 99, 20, 0}, {110, 100, 99, 99, 21, 0}, {111, 1, 99, 99, 22, 0}}, 110,
			Options{}, nil, "[100 111]", "[110]",
		},
		{
			"a launcher left us both in its session",
			[]ps{{100, 1, 99, 99, 20, 0}, {110, 1, 99, 99, 21, 0}, {111, 1, 99, 99, 22, 0}}, 110,
			Options{}, nil, "[100]", "[]",
		},
		{
			"we are its parent",
			[]ps{{60, 1, 60, 60, 5, 0}, {100, 60, 100, 100, 20, 0}, {101, 60, 101, 101, 21, 0}}, 60,
			Options{}, nil, "[100]", "[]",
		},
		{"we are its parent and its subreaper",
			[]ps{{60, 1, 60, 60, 5, 0}, {100, 60, 100, 100, 20, 0}, {101, 60, 101, 101, 21, 0},
				{102, 101, 7, 7, 22, 0}}, 60,
			Options{Adopted: func(p Process) bool { return p.PID == 101 }}, nil,
			"[100 101 102]", "[]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			members, spared, _ := attributed(append(slices.Clone(shell), test.table...), test.self,
				test.options, test.hidden...)
			if fmt.Sprint(members) != test.members || fmt.Sprint(spared) != test.spared {
				t.Errorf("members %v, spared %v; want %s, %s",
					members, spared, test.members, test.spared)
			}
		})
	}
}

// What belongs goes on to belong when the link is cut, and a session whose
// number has passed to a stranger does not.
func TestAttributeLater(t *testing.T) {
	_, _, tr := attributed(
		[]ps{{100, 1, 100, 100, 20, 0}, {101, 100, 101, 101, 21, 0}, {102, 101, 101, 101, 22, 0}},
		50, Options{},
	)
	stat := func(pid, ppid, session, start int) sys.ProcStat {
		return sys.ProcStat{PID: pid, PPID: ppid, PGRP: session, Session: session,
			StartTime: uint64(start), State: 'S', Threads: 1}
	}
	// 100 and 101 are gone, 102 hangs on init, 103 was born in its session.
	tr.attribute([]sys.ProcStat{stat(102, 1, 101, 22), stat(103, 1, 101, 30)}, nil)
	if got := pids(tr); got != "[102 103]" {
		t.Errorf("after the links were cut: %s", got)
	}
	// All are gone, and a stranger leads a new session 101.
	tr.attribute([]sys.ProcStat{stat(101, 1, 101, 40), stat(104, 101, 101, 41)}, nil)
	if got := pids(tr); got != "[]" {
		t.Errorf("strangers: %s", got)
	}
	if len(tr.ended) != 4 {
		t.Errorf("%d ended, want 4", len(tr.ended))
	}
}

func pids(t *tree) string {
	list := []int{}
	for _, m := range t.sorted() {
		list = append(list, m.PID)
	}
	return fmt.Sprint(list)
}

// Whatever the table, the process that asks, its ancestors and init are never
// to be signalled, all descendants of the main process are found, and nobody is found who shares
// neither an ancestor nor a session with somebody who was.
func TestAttributeAlways(t *testing.T) {
	for range 2000 {
		seed := rand.Uint64()
		table, self := grown(rand.New(rand.NewPCG(seed, 0)))
		checkAttributed(t, table, self)
		if t.Failed() {
			t.Fatalf("with the seed %d: process %d asks in %v", seed, self, table)
		}
	}
}

// grown draws a table, and which of its processes asks. Small ones are as frequent as big ones, so
// that most failures are told by a table that can be read.
func grown(draw *rand.Rand) (table []ps, self int) {
	n := 1 + draw.IntN(1+draw.IntN(30))
	table = []ps{{1, 0, 1, 1, 0, 0}, {100, 1, 100, 100, 20, 0}}
	for pid := 101; pid < 101+n; pid++ {
		parent := table[draw.IntN(len(table))]
		p := ps{pid, parent.pid, parent.pgrp, parent.session, parent.start + draw.IntN(3), 0}
		switch draw.IntN(5) {
		case 0:
			p.session, p.pgrp = pid, pid // setsid
		case 1:
			p.ppid = 1 // its parent has ended
		case 2:
			p.session, p.pgrp = 99, 99 // left behind by somebody
		}
		table = append(table, p)
	}
	if draw.IntN(2) == 0 { // second fork
		table[1].session, table[1].pgrp = 99, 99
	}
	return table, table[2+draw.IntN(n)].pid
}

func checkAttributed(t *testing.T, table []ps, self int) {
	members, spared, _ := attributed(table, self, Options{})
	byPID := map[int]ps{}
	for _, p := range table {
		byPID[p.pid] = p
	}
	for pid := self; pid != 0; pid = byPID[pid].ppid {
		if pid != 100 && slices.Contains(members, pid) {
			t.Errorf("%d is to be signalled: it is this process or an ancestor", pid)
		}
	}
	found := append(slices.Clone(members), spared...)
	for _, p := range table {
		below := false
		for pid := p.pid; pid != 0; pid = byPID[pid].ppid {
			below = below || pid == 100
		}
		if below && !slices.Contains(found, p.pid) {
			t.Errorf("%d is a descendant and was not found", p.pid)
		}
		linked := below || slices.ContainsFunc(found, func(pid int) bool {
			return pid != p.pid && (byPID[pid].session == p.session || p.ppid == pid)
		})
		if slices.Contains(found, p.pid) && !linked {
			t.Errorf("%d was found and has no link", p.pid)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	t := &tree{members: map[int]*member{}, sessions: map[int]bool{}, gone: hasEnded}
	for b.Loop() {
		if err := t.scan(); err != nil {
			b.Fatal(err)
		}
	}
	stats, _ := t.list.Read()
	b.ReportMetric(float64(len(stats)), "processes")
}

package proctree

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
)

// key is a process within this boot.
type key struct {
	pid   int
	start uint64
}

// member is a process that belongs, with what was done to it.
type member struct {
	Process
	state  byte
	alive  bool // neither gone nor a zombie
	over   bool // it was alive, and its end was noted
	spared bool // ourselves or an ancestor of ours
	done   treatment
}

// tree is what is known of the daemon's processes. Scans add to it; attribute,
// which holds all of the judgement, looks at nothing but its arguments.
type tree struct {
	options  Options
	self     int
	gone     func(pid int) bool // no process has this pid, not even a hidden one
	root     key
	members  map[int]*member // by pid; a pid that passed to another process replaces its entry
	ended    []*member       // all whose end was seen
	fresh    []*member       // those of them that nobody was told of yet
	sessions map[int]bool    // that are the daemon's own
	list     sys.ProcList
}

// scan brings the tree up to date.
func (t *tree) scan() error {
	if t.options.Scope == ScopeMain {
		return t.scanMain()
	}
	// A process that is in the group but was born after the list was read is
	// found by a second look; one that is born after that, by the next scan.
	const rounds = 3
	for range rounds {
		stats, err := t.list.Read()
		if err != nil {
			return err
		}
		// The group is read after the list: who is in it now and has the start
		// time of the list was there both times, whatever its number was before.
		var group []int
		if t.options.Cgroup != "" {
			if group, err = cgroup.MembersOf(t.options.Cgroup); err != nil {
				return fmt.Errorf("processes of control group: %w", err)
			}
		}
		if t.attribute(stats, group) {
			break
		}
	}
	return nil
}

// scanMain looks at the main process alone.
func (t *tree) scanMain() error {
	m := t.members[t.root.pid]
	if m == nil {
		return nil
	}
	st, err := sys.ReadStat(t.root.pid)
	switch {
	case errors.Is(err, sys.ESRCH) || err == nil && st.StartTime != t.root.start:
		t.end(m)
	case err != nil:
		return err
	default:
		t.add(st)
	}
	return nil
}

// attribute marks which of the processes belong. It returns false if the
// control group has a process that is not among them.
func (t *tree) attribute(stats []sys.ProcStat, group []int) (complete bool) {
	s := index(stats)
	ancestors := s.ancestors(t.self)
	t.forget(s)
	a := attribution{tree: t, scan: s, inside: ancestors[t.root.pid], seen: map[int]bool{}}
	for pid := range t.members {
		a.take(pid)
	}
	for sid := range t.sessions {
		// While members live, nobody else gets the number of a session. A
		// leader that is a stranger proves that it is a new session.
		if i, ok := s.byPID[sid]; ok && t.members[sid] == nil && stats[i].PID == sid {
			delete(t.sessions, sid)
			continue
		}
		a.takeSession(sid)
	}
	complete = true
	for _, pid := range group {
		if _, ok := s.byPID[pid]; !ok {
			complete = false
		}
		a.take(pid)
	}
	a.spread()
	if t.options.Adopted != nil {
		for _, i := range s.children[t.self] {
			if st := stats[i]; !a.seen[st.PID] && t.options.Adopted(process(st)) {
				a.take(st.PID)
			}
		}
		a.spread()
	}
	_, within := t.members[t.self]
	for pid, m := range t.members {
		// What we started ourselves while we run inside of the tree, such as a
		// pager, is no more the daemon's than we are.
		m.spared = pid == t.self ||
			m.key() != t.root && (ancestors[pid] || within && m.PPID == t.self)
	}
	return complete
}

// forget drops the members that are gone. A zombie stays until it is reaped: as
// leader of a session it keeps its number from everybody else.
func (t *tree) forget(s scan) {
	for pid, m := range t.members {
		i, ok := s.byPID[pid]
		if ok && s.stats[i].StartTime == m.Start {
			continue
		}
		t.end(m)
		delete(t.members, pid)
	}
}

// end notes that a member has ended.
func (t *tree) end(m *member) {
	if m.alive {
		m.alive, m.over = false, true
		t.ended = append(t.ended, m)
		t.fresh = append(t.fresh, m)
	}
}

// add stores what was read of a process that belongs.
func (t *tree) add(st sys.ProcStat) *member {
	m := t.members[st.PID]
	if m == nil || m.Start != st.StartTime {
		m = &member{}
		t.members[st.PID] = m
	}
	m.Process, m.state = process(st), st.State
	if st.Exited() {
		t.end(m)
	} else {
		m.alive = !m.over
	}
	return m
}

func process(st sys.ProcStat) Process {
	return Process{
		PID:     st.PID,
		Name:    st.Comm,
		PPID:    st.PPID,
		Session: st.Session,
		Start:   st.StartTime,
	}
}

func (m *member) String() string { return m.Process.String() }

func (m *member) key() key { return key{m.PID, m.Start} }

// sorted returns the members that live: the main process, then by start.
func (t *tree) sorted() []*member {
	var list []*member
	for _, m := range t.members {
		if m.alive {
			list = append(list, m)
		}
	}
	t.sort(list)
	return list
}

func (t *tree) sort(list []*member) {
	slices.SortFunc(list, func(a, b *member) int {
		switch t.root {
		case a.key():
			return -1
		case b.key():
			return 1
		}
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.PID, b.PID))
	})
}

// attribution is the working state of one call of attribute: a process is
// taken once, and spread follows what it leads to.
type attribution struct {
	*tree
	scan
	inside bool // root is our ancestor
	seen   map[int]bool
	queue  []int // indices of stats whose children and session are still to be looked at
}

func (a *attribution) take(pid int) {
	i, ok := a.byPID[pid]
	if !ok || a.seen[pid] || pid <= 1 {
		return
	}
	a.seen[pid] = true
	a.add(a.stats[i])
	a.queue = append(a.queue, i)
}

func (a *attribution) takeSession(sid int) {
	for _, i := range a.bySession[sid] {
		a.take(a.stats[i].PID)
	}
}

func (a *attribution) spread() {
	for len(a.queue) > 0 {
		st := a.stats[a.queue[0]]
		a.queue = a.queue[1:]
		for _, i := range a.children[st.PID] {
			// The two lines were read at different moments. A child that is
			// older than its parent was the child of an earlier owner of that number.
			if a.stats[i].StartTime >= st.StartTime {
				a.take(a.stats[i].PID)
			}
		}
		if !a.sessions[st.Session] && a.owns(st) {
			a.sessions[st.Session] = true
			a.takeSession(st.Session)
		}
	}
}

// owns says whether the session of a process that belongs is the daemon's own;
// the package comment has the rule.
func (a *attribution) owns(st sys.ProcStat) bool {
	if st.PID == st.Session {
		return true
	}
	_, led := a.byPID[st.Session]
	if led || st.Session == 0 || a.options.Scope == ScopeDescendants {
		return false
	}
	if st.TTYNr != 0 || st.PGRP != st.Session || !a.gone(st.Session) {
		return false
	}
	for _, i := range a.bySession[st.Session] {
		other := a.stats[i]
		if other.StartTime < st.StartTime {
			return false
		}
		// We ourselves in a session that is the daemon's own must be its
		// descendant: else a launcher that has ended left us both there.
		if other.PID == a.self && !a.inside {
			return false
		}
	}
	return true
}

// scan is the list of all processes with ways into it.
type scan struct {
	stats     []sys.ProcStat
	byPID     map[int]int
	children  map[int][]int
	bySession map[int][]int
}

func index(stats []sys.ProcStat) scan {
	s := scan{stats, make(map[int]int, len(stats)), make(map[int][]int), make(map[int][]int)}
	for i, st := range stats {
		s.byPID[st.PID] = i
		s.children[st.PPID] = append(s.children[st.PPID], i)
		s.bySession[st.Session] = append(s.bySession[st.Session], i)
	}
	return s
}

// ancestors returns the pids from the parent of pid up to init.
func (s scan) ancestors(pid int) map[int]bool {
	found := map[int]bool{}
	for {
		i, ok := s.byPID[pid]
		if !ok || s.stats[i].PPID == 0 || found[s.stats[i].PPID] {
			return found
		}
		pid = s.stats[i].PPID
		found[pid] = true
	}
}

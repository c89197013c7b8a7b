package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// Present says of an init system whether services can be installed in it here.
type Present struct {
	System System
	// Here says that it runs, Boots that it is what the machine boots with.
	Here, Boots bool
	// Evidence is what was seen of it, or that nothing was.
	Evidence Evidence

	scan string // a directory that it looks at, if it runs beside another
}

// systems are all that are known, as Systems lists them.
var systems = []System{Systemd, Launchd, OpenRC, SysV, Runit, S6, FreeBSD}

// Systems lists the init systems that are known: first what the machine boots with, then what runs
// beside it, then those that are not here. One that only boots others has no services here, however
// many of its files are installed; runit and s6 keep up services beside any other too.
func Systems() []Present {
	boots, evidence := Detect("")
	var list []Present
	for _, s := range systems {
		p := Present{System: s, Evidence: absent(s, boots, evidence)}
		switch {
		case s == boots:
			p.Here, p.Boots, p.Evidence = true, true, evidence
		case s == Runit || s == S6:
			p.beside(scanners())
		}
		list = append(list, p)
	}
	rank := func(p Present) int {
		switch {
		case p.Boots:
			return 0
		case p.Here:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(x, y Present) int { return rank(x) - rank(y) })
	return list
}

// absent is why services of a system would never be started.
func absent(s, boots System, evidence Evidence) Evidence {
	on := map[System]string{Launchd: "darwin", FreeBSD: "freebsd"}[s]
	switch {
	case on != "" && on != runtime.GOOS, on == "" && runtime.GOOS != "linux":
		return Evidence{"this is " + runtime.GOOS}
	case s == Systemd:
		return Evidence{"there is no /run/systemd/system"}
	case boots == None:
		return slices.Clone(evidence)
	}
	return Evidence{"this machine boots with " + string(boots)}
}

// scanner is a process that keeps up the services in a directory.
type scanner struct {
	pid       int
	comm, dir string
}

// scanners are those of root that see the files that we see: of a container inside this machine we
// see the processes too. What cannot be read is another's, or has ended.
func scanners() []scanner {
	var list []scanner
	here, err := os.Stat("/")
	pids, pidsErr := sys.PIDs()
	if err != nil || pidsErr != nil {
		return nil
	}
	for _, pid := range pids {
		st, err := sys.ReadStat(pid)
		if err != nil || st.Comm != "runsvdir" && st.Comm != "s6-svscan" {
			continue
		}
		ids, err := sys.ReadUserIDs(pid)
		if err != nil || ids.Effective != 0 {
			continue
		}
		_, root, err := sys.DirectoryOf(pid, "root")
		if id := sys.FileIDOf(here); err != nil || root.Inode != id.Inode || root.Dev != id.Device {
			continue
		}
		words, err := sys.Cmdline(pid)
		if dir := scanDir(words); err == nil && dir != "" {
			list = append(list, scanner{pid, st.Comm, dir})
		}
	}
	return list
}

// scanDir is the directory in a command line of runsvdir(8) or s6-svscan(8); "" without an absolute
// one.
func scanDir(words []string) string {
	for _, word := range words[1:] {
		if filepath.IsAbs(word) {
			return word
		}
	}
	return ""
}

// beside judges a system that has not booted the machine by what keeps up services here.
func (p *Present) beside(list []scanner) {
	comm := map[System]string{Runit: "runsvdir", S6: "s6-svscan"}[p.System]
	for _, s := range list {
		if s.comm != comm {
			continue
		}
		seen := fmt.Sprintf("process %d is %s of %s", s.pid, comm, s.dir)
		if strings.HasPrefix(s.dir, "/run/") || strings.HasPrefix(s.dir, "/tmp/") {
			p.Evidence = Evidence{seen, "which does not last over a boot"}
			continue
		}
		p.Here, p.scan, p.Evidence = true, s.dir, Evidence{seen}
		return
	}
	if runtime.GOOS == "linux" && !slices.ContainsFunc(list, func(s scanner) bool {
		return s.comm == comm
	}) {
		p.Evidence = append(p.Evidence, "no "+comm+" of root looks at a directory")
	}
}

// AbsentError says that an init system is not here, or not known, and which ones are.
type AbsentError struct {
	Name string
	List []Present
}

func (e *AbsentError) Error() string {
	text := fmt.Sprintf("no init system %q is known", e.Name)
	var here []string
	for _, p := range e.List {
		if string(p.System) == e.Name {
			text = e.Name + " does not run here: " + strings.Join(p.Evidence, "; ")
		}
		if p.Here {
			here = append(here, string(p.System))
		}
	}
	if here == nil {
		return text + "; none that is known runs here"
	}
	return text + "; there is " + strings.Join(here, ", ")
}

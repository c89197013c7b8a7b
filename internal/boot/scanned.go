package boot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// scanInit is what differs between runit and s6, where a process looks at a
// directory, and keeps up what it finds links to there.
type scanInit interface {
	// scans are the directories that get a link. The last one is looked at now.
	scans() ([]string, error)
	// alive is a FIFO in a service directory that its supervisor reads.
	alive() string
	// rescan has the process look at once. Nil: it looks by itself.
	rescan(scan string) []string
	// start is waited for until the service is up; ready says that it tells when it is ready.
	start(dir string, ready bool) []string
	restart(dir string) []string
	// stop ends the service, and shutdown its supervisor as well.
	stop(dir string) []string
	shutdown(dir string) []string
	// state of a service that has a supervisor.
	state(ctx context.Context, dir string) (scanState, error)
	// control starts, stops or restarts services.
	control(ctx context.Context, verb string, dirs []string) error
}

type scanState struct {
	up   bool
	pid  int
	word string // of the manager; "" if it has none
}

// scanManager is an init system with a directory for each service.
type scanManager struct {
	plainManager
	scanInit
}

func (s *scanManager) dir(name string) string { return filepath.Join(s.m.files(), name) }

// supervised says whether the supervisor of a service directory runs.
func (s *scanManager) supervised(dir string) bool {
	return s.m.live() && alive(filepath.Join(dir, s.alive()))
}

func (s *scanManager) enable(ctx context.Context, p *Plan, files []writers.File, _ bool) error {
	scans, err := s.scans()
	if err != nil {
		return err
	}
	var fresh, start []string
	for _, name := range unitsOf("", pathsTo(files)) {
		linked, err := s.link(p, name, scans)
		if err != nil {
			return err
		}
		dir := s.dir(name)
		switch {
		case !s.m.live():
		case linked:
			fresh, start = append(fresh, name), append(start, name)
		case p.plans(Remove, dir+"/down"):
			if start, err = s.unlessUp(ctx, p, start, name); err != nil {
				return err
			}
		case p.plans(Write, dir+"/run"):
			p.hint("%s has changed and takes it up when it is restarted: %s",
				name, strings.Join(s.restart(dir), " "))
		}
	}
	if argv := s.rescan(scans[len(scans)-1]); argv != nil && len(fresh) > 0 {
		p.run(nil, argv...)
	}
	for _, name := range start {
		dir := s.dir(name)
		if slices.Contains(fresh, name) {
			p.add(Step{Action: Wait, Path: filepath.Join(dir, s.alive())})
		}
		has := func(file string) bool {
			return slices.ContainsFunc(files,
				func(f writers.File) bool { return f.Path == name+"/"+file })
		}
		if !has("down") {
			p.run(nil, s.start(dir, has("notification-fd"))...)
		}
	}
	return nil
}

// unlessUp appends a service that was started by hand until now, if nobody did,
// and has it stopped again if a later step fails.
func (s *scanManager) unlessUp(
	ctx context.Context, p *Plan, start []string, name string,
) ([]string, error) {
	dir := s.dir(name)
	if !s.supervised(dir) {
		return start, nil
	}
	st, err := s.state(ctx, dir)
	if err != nil || st.up {
		return start, err
	}
	p.onUndo(p.command(s.stop(dir)...))
	return append(start, name), nil
}

// link adds the links to a service directory that are missing, and says whether
// the one that is looked at now is among them.
func (s *scanManager) link(p *Plan, name string, scans []string) (bool, error) {
	dir, target := s.dir(name), s.m.inside(s.dir(name))
	var missing []string
	for _, scan := range scans {
		linked, err := isLink(filepath.Join(scan, name), target)
		if err != nil {
			return false, err
		}
		if !linked {
			missing = append(missing, scan)
		}
	}
	fresh := slices.Contains(missing, scans[len(scans)-1])
	if fresh { // one that was there before goes on, whatever fails
		p.onUndo(func(ctx context.Context) error { return s.forget(ctx, dir, scans) })
	}
	for _, scan := range missing {
		p.add(Step{Action: Link, Path: filepath.Join(scan, name), Target: target})
	}
	return fresh, nil
}

// forget ends the supervisor of a directory that no link leads to any more, and
// removes what it keeps there.
func (s *scanManager) forget(ctx context.Context, dir string, scans []string) error {
	// The process must know first, or it would start the supervisor again.
	if argv := s.rescan(scans[len(scans)-1]); argv != nil && s.m.live() {
		if _, err := s.m.run(ctx, argv...); err != nil {
			return err
		}
	}
	// The logger comes last, for it is to read what the service says at its end.
	// That of runit has no supervisor of its own, and ends by itself.
	for _, one := range []string{dir, dir + "/log"} {
		if !s.supervised(one) {
			continue
		}
		if _, err := s.m.run(ctx, s.shutdown(one)...); err != nil {
			return err
		}
		if err := ended(ctx, filepath.Join(one, s.alive())); err != nil {
			return err
		}
	}
	var errs []error
	for _, name := range []string{"supervise", "event", "log/supervise", "log/event"} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

func (s *scanManager) disable(_ context.Context, p *Plan, files []found) error {
	scans, err := s.scans()
	if err != nil {
		return err
	}
	for _, name := range unitsOf(s.m.files(), pathsOf(files)) {
		dir := s.dir(name)
		for _, scan := range scans {
			path := filepath.Join(scan, name)
			// what else is there is not ours
			if linked, err := isLink(path, s.m.inside(dir)); err == nil && linked {
				p.remove(path, nil)
			}
		}
		p.add(Step{
			Action: Run,
			Argv:   s.shutdown(dir),
			do:     func(ctx context.Context) error { return s.forget(ctx, dir, scans) },
		})
	}
	return nil
}

func (s *scanManager) status(ctx context.Context, files []found) (Status, error) {
	var st Status
	scans, err := s.scans()
	if err != nil {
		return st, err
	}
	names := unitsOf(s.m.files(), pathsOf(files))
	up := 0
	for _, name := range names {
		dir := s.dir(name)
		linked, err := isLink(filepath.Join(scans[0], name), s.m.inside(dir))
		st.Enabled = st.Enabled || err == nil && linked && !tree(dir).exists("down")
		if !s.supervised(dir) {
			continue
		}
		one, err := s.state(ctx, dir)
		if err != nil {
			return st, err
		}
		st.State = one.word
		if one.up {
			up++
			st.PID = one.pid
		}
	}
	st.Running = up == len(names)
	if len(names) > 1 {
		st.PID = 0
	}
	return st, nil
}

func (s *scanManager) control(ctx context.Context, verb string, files []found) error {
	var dirs []string
	for _, name := range unitsOf(s.m.files(), pathsOf(files)) {
		dirs = append(dirs, s.dir(name))
	}
	return s.scanInit.control(ctx, verb, dirs)
}

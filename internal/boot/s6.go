package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// s6Manager is s6 as process 1: a service is there when s6-svscan finds a link
// to its directory.
type s6Manager struct{ m *Machine }

// s6Image is what s6-linux-init(8) makes /run of at boot.
const s6Image = "/etc/s6-linux-init/current/run-image/service"

// scans are the directories that get a link: the one of the running s6-svscan,
// and the one that it is made of at boot if it does not last.
func (s *s6Manager) scans() ([]string, error) {
	if s.m.scan != "" {
		return []string{s.m.scan}, nil
	}
	var scans []string
	image := s.m.path(s6Image)
	if tree(image).isDir("/") {
		scans = append(scans, image)
	}
	if !s.m.live() {
		if scans == nil {
			return nil, fmt.Errorf("s6: there is no %s", image)
		}
		return scans, nil
	}
	words := strings.Split(strings.Trim(tree("").text("/proc/1/cmdline"), "\x00"), "\x00")
	live := words[len(words)-1]
	switch {
	case len(words) < 2 || !filepath.IsAbs(live):
		return nil, errors.New("s6: process 1 does not say which directory it scans")
	case scans == nil && (strings.HasPrefix(live, "/run/") || strings.HasPrefix(live, "/tmp/")):
		return nil, fmt.Errorf("s6: %s does not last over a boot, and there is no %s that it is made of", live, s6Image)
	}
	return append(scans, live), nil
}

func (s *s6Manager) options(context.Context) (writers.Options, error) { return writers.Options{}, nil }
func (s *s6Manager) begin(*Plan)                                      {}
func (s *s6Manager) end(*Plan, []found)                               {}

func (s *s6Manager) enable(_ context.Context, p *Plan, files []writers.File, _ bool) error {
	scans, err := s.scans()
	if err != nil {
		return err
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	names := unitsOf("", paths)
	var fresh []string
	for _, name := range names {
		dir := filepath.Join(s.m.files(), name)
		p.onUndo(func(ctx context.Context) error { return s.end1(ctx, dir, scans) })
		for i, scan := range scans {
			linked, err := p.link(filepath.Join(scan, name), s.m.inside(dir))
			if err != nil {
				return err
			}
			if linked && i == len(scans)-1 {
				fresh = append(fresh, name)
			}
		}
		if !slices.Contains(fresh, name) && p.plans(Write, dir+"/run") {
			p.hint("%s has changed and takes it up when it is restarted: s6-svc -r %s", name, dir)
		}
	}
	if !s.m.live() || len(fresh) == 0 {
		return nil
	}
	p.run(nil, "s6-svscanctl", "-a", scans[len(scans)-1])
	for _, name := range fresh {
		dir := filepath.Join(s.m.files(), name)
		p.add(Step{Action: Wait, Path: dir + "/supervise/control"})
		has := func(file string) bool {
			return slices.ContainsFunc(files, func(f writers.File) bool { return f.Path == name+"/"+file })
		}
		wait := "-u"
		if has("notification-fd") {
			wait = "-U"
		}
		if !has("down") {
			p.run(nil, "s6-svwait", wait, "-t", "30000", dir)
		}
	}
	return nil
}

// end1 ends s6-supervise of a directory, which no link leads to any more, and
// removes what it keeps there.
func (s *s6Manager) end1(ctx context.Context, dir string, scans []string) error {
	if s.m.live() {
		// Or they would be started again.
		if _, err := s.m.run(ctx, "s6-svscanctl", "-a", scans[len(scans)-1]); err != nil {
			return err
		}
		// The logger comes last, for it is to read what the service says at its end.
		for _, one := range []string{dir, dir + "/log"} {
			if !alive(one + "/supervise/control") {
				continue
			}
			if _, err := s.m.run(ctx, "s6-svc", "-wD", "-T", "60000", "-dx", one); err != nil {
				return err
			}
			if err := ended(ctx, one+"/supervise/control"); err != nil {
				return err
			}
		}
	}
	var errs []error
	for _, name := range []string{"supervise", "event", "log/supervise", "log/event"} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

func (s *s6Manager) disable(_ context.Context, p *Plan, files []found) error {
	scans, err := s.scans()
	if err != nil {
		return err
	}
	for _, name := range unitsOf(s.m.files(), pathsOf(files)) {
		dir := filepath.Join(s.m.files(), name)
		for _, scan := range scans {
			if target, err := os.Readlink(filepath.Join(scan, name)); err == nil && target == s.m.inside(dir) {
				p.remove(filepath.Join(scan, name), nil)
			}
		}
		p.add(Step{Action: Run, Argv: []string{"s6-svc", "-wD", "-T", "60000", "-dx", dir}, do: func(ctx context.Context) error { return s.end1(ctx, dir, scans) }})
	}
	return nil
}

func (s *s6Manager) status(ctx context.Context, files []found) (Status, error) {
	var st Status
	scans, err := s.scans()
	if err != nil {
		return st, err
	}
	names := unitsOf(s.m.files(), pathsOf(files))
	up := 0
	for _, name := range names {
		dir := filepath.Join(s.m.files(), name)
		target, err := os.Readlink(filepath.Join(scans[0], name))
		st.Enabled = st.Enabled || err == nil && target == s.m.inside(dir)
		if !s.m.live() || !alive(dir+"/supervise/control") {
			continue
		}
		// s6-svstat(1) with -o prints the values that are asked for.
		out, err := s.m.run(ctx, "s6-svstat", "-o", "up", dir)
		if err != nil {
			return st, err
		}
		if strings.TrimSpace(out) == "true" {
			up++
		}
	}
	st.Running = up == len(names)
	return st, nil
}

func (s *s6Manager) control(ctx context.Context, verb string, files []found) error {
	options := map[string][]string{"start": {"-wu", "-u"}, "stop": {"-wD", "-d"}, "restart": {"-wr", "-r"}}[verb]
	var errs []error
	for _, name := range unitsOf(s.m.files(), pathsOf(files)) {
		_, err := s.m.run(ctx, slices.Concat([]string{"s6-svc", "-T", "60000"}, options, []string{filepath.Join(s.m.files(), name)})...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

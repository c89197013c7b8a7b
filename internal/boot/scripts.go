package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// initScripts is what differs between init systems whose services are scripts
// that know "start" and "stop". Their commands answer by exit status.
type initScripts interface {
	// enableArgs has the script run at boot; disableArgs the opposite.
	enableArgs(name string) []string
	disableArgs(name string) []string
	enabled(ctx context.Context, name string) (bool, error)
	// service runs a verb of the script, in the environment that it has at boot.
	service(name, verb string) []string
	// up says what the exit status of the verb "status" means.
	up(status int) (running, known bool)
}

// scriptManager is an init system with scripts.
type scriptManager struct {
	plainManager
	initScripts
}

func (s *scriptManager) begin(ctx context.Context, p *Plan, files []writers.File) error {
	for _, f := range files {
		if slices.Contains(p.manual, f.Service) {
			if err := s.notAtBoot(ctx, p, f.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// notAtBoot has a script not run at boot, if it is.
func (s *scriptManager) notAtBoot(ctx context.Context, p *Plan, name string) error {
	enabled, err := s.enabled(ctx, name)
	if err == nil && enabled {
		p.run(s.atBoot(name, true), s.disableArgs(name)...)
	}
	return err
}

// running asks a script. One that is not there yet has nothing that runs.
func (s *scriptManager) running(ctx context.Context, name string) (bool, error) {
	if !s.m.live() || !tree(s.m.files()).exists(name) {
		return false, nil
	}
	argv := s.service(name, "status")
	_, err := s.m.run(ctx, argv...)
	status, err := exitStatus(err)
	if err != nil {
		return false, err
	}
	running, known := s.up(status)
	if !known {
		return false, fmt.Errorf("%s: exit status %d says nothing about whether it runs",
			strings.Join(argv, " "), status)
	}
	return running, nil
}

func (s *scriptManager) enable(ctx context.Context, p *Plan, files []writers.File, _ bool) error {
	var start []string
	for _, f := range files {
		if slices.Contains(p.manual, f.Service) {
			continue
		}
		enabled, err := s.enabled(ctx, f.Path)
		if err != nil {
			return err
		}
		running, err := s.running(ctx, f.Path)
		if err != nil {
			return err
		}
		if !enabled {
			p.run(s.atBoot(f.Path, false), s.enableArgs(f.Path)...)
		}
		switch {
		case !running && s.m.live() && !p.idle:
			start = append(start, f.Path)
		case running && p.plans(Write, filepath.Join(s.m.files(), f.Path)):
			p.hint("%s has changed and takes it up when it is restarted: %s",
				f.Path, strings.Join(s.service(f.Path, "restart"), " "))
		}
	}
	for _, name := range start {
		p.run(s.runs(name, false), s.service(name, "start")...)
	}
	return nil
}

// atBoot undoes what may have been done: a service is enabled, or not.
func (s *scriptManager) atBoot(name string, want bool) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		argv := s.disableArgs(name)
		if want {
			argv = s.enableArgs(name)
		}
		enabled, err := s.enabled(ctx, name)
		if err == nil && enabled != want {
			_, err = s.m.run(ctx, argv...)
		}
		return err
	}
}

// runs undoes what may have been done: a service runs, or not.
func (s *scriptManager) runs(name string, want bool) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		running, err := s.running(ctx, name)
		if err == nil && running != want {
			_, err = s.m.run(ctx,
				s.service(name, map[bool]string{true: "start", false: "stop"}[want])...)
		}
		return err
	}
}

func (s *scriptManager) disable(ctx context.Context, p *Plan, files []found) error {
	names := unitsOf(s.m.files(), pathsOf(files))
	for _, name := range names {
		running, err := s.running(ctx, name)
		if err != nil {
			return err
		}
		if running {
			p.run(s.runs(name, true), s.service(name, "stop")...)
		}
	}
	for _, name := range names {
		if err := s.notAtBoot(ctx, p, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *scriptManager) status(ctx context.Context, files []found) (Status, error) {
	var st Status
	names := unitsOf(s.m.files(), pathsOf(files))
	up := 0
	for _, name := range names {
		enabled, err := s.enabled(ctx, name)
		if err != nil {
			return st, err
		}
		running, err := s.running(ctx, name)
		if err != nil {
			return st, err
		}
		st.Enabled = st.Enabled || enabled
		if running {
			up++
		}
	}
	st.Running = up == len(names)
	return st, nil
}

func (s *scriptManager) control(ctx context.Context, verb string, files []found) error {
	var errs []error
	for _, name := range unitsOf(s.m.files(), pathsOf(files)) {
		_, err := s.m.run(ctx, s.service(name, verb)...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// openrcScripts is OpenRC: rc-update(8), rc-service(8).
type openrcScripts struct{ m *Machine }

func (o openrcScripts) enableArgs(name string) []string {
	return o.m.inTree("rc-update", "--quiet", "add", name, "default")
}

func (o openrcScripts) disableArgs(name string) []string {
	return o.m.inTree("rc-update", "--quiet", "delete", name, "default")
}

func (o openrcScripts) enabled(_ context.Context, name string) (bool, error) {
	return tree(o.m.path("/etc/runlevels/default")).exists(name), nil
}

func (o openrcScripts) service(name, verb string) []string {
	return []string{"rc-service", name, verb}
}

// up: what supervise-daemon keeps is "started" (0), or "crashed" (32) when it
// gave up; 3 is "stopped". Whatever is neither must be stopped before it goes.
func (o openrcScripts) up(status int) (running, known bool) { return status != 3, true }

// sysvScripts is SysV init: update-rc.d(8) and service(8) of Debian and what
// comes from it.
type sysvScripts struct{ m *Machine }

func (o sysvScripts) enableArgs(name string) []string {
	return o.m.inTree("update-rc.d", name, "defaults")
}

// disableArgs: -f, for the script is still there.
func (o sysvScripts) disableArgs(name string) []string {
	return o.m.inTree("update-rc.d", "-f", name, "remove")
}

func (o sysvScripts) enabled(_ context.Context, name string) (bool, error) {
	for _, level := range []string{"2", "3", "4", "5"} {
		links, err := os.ReadDir(o.m.path("/etc/rc" + level + ".d"))
		if err := ignoreMissing(err); err != nil {
			return false, err
		}
		if slices.ContainsFunc(links, func(l fs.DirEntry) bool { return isStart(l.Name(), name) }) {
			return true, nil
		}
	}
	return false, nil
}

// isStart says whether a link has a script run when its runlevel is entered: "S01NAME".
func isStart(link, name string) bool {
	number, ok := strings.CutSuffix(link, name)
	return ok && len(number) == 3 && number[0] == 'S' &&
		strings.Trim(number[1:], "0123456789") == ""
}

func (o sysvScripts) service(name, verb string) []string { return []string{"service", name, verb} }

// up: LSB 5.0, "Init Script Actions": 0 runs, 1 is dead with a pid file, 3 is
// stopped.
func (o sysvScripts) up(status int) (running, known bool) {
	return status == 0, status == 0 || status == 1 || status == 3
}

// freebsdScripts is rc(8) of FreeBSD: sysrc(8), service(8).
type freebsdScripts struct{ m *Machine }

func (o freebsdScripts) sysrc(words ...string) []string {
	if !o.m.live() {
		words = append([]string{"-R", o.m.Root}, words...)
	}
	return append([]string{"sysrc"}, words...)
}

func (o freebsdScripts) enableArgs(name string) []string  { return o.sysrc(name + "_enable=YES") }
func (o freebsdScripts) disableArgs(name string) []string { return o.sysrc("-x", name+"_enable") }

// enabled: sysrc fails for a variable that is not set.
func (o freebsdScripts) enabled(ctx context.Context, name string) (bool, error) {
	out, err := o.m.run(ctx, o.sysrc("-n", "-q", name+"_enable")...)
	status, err := exitStatus(err)
	return status == 0 && strings.EqualFold(strings.TrimSpace(out), "YES"), err
}

func (o freebsdScripts) service(name, verb string) []string {
	return []string{"service", name, verb}
}

func (o freebsdScripts) up(status int) (running, known bool) {
	return status == 0, status == 0 || status == 1
}

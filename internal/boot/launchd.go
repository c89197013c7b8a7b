package boot

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// launchdManager is launchd of macOS: launchctl(1). A job is enabled when its
// file is there, for launchd reads the directory at boot.
type launchdManager struct{ plainManager }

// domain of the jobs: the system, or the login session of the user.
func (l *launchdManager) domain() string {
	if l.m.User {
		return "gui/" + strconv.Itoa(l.m.UID)
	}
	return "system"
}

// job is the name of a job in its domain.
func (l *launchdManager) job(file string) string {
	return l.domain() + "/" + strings.TrimSuffix(filepath.Base(file), ".plist")
}

// loaded says whether launchd knows a job, by the exit status: the text that
// "print" prints is no interface, as launchctl(1) says.
func (l *launchdManager) loaded(ctx context.Context, file string) (bool, error) {
	if !l.m.live() {
		return false, nil
	}
	_, err := l.m.run(ctx, "launchctl", "print", l.job(file))
	status, err := exitStatus(err)
	return status == 0, err
}

func (l *launchdManager) bootout(file string) []string {
	return []string{"launchctl", "bootout", l.job(file)}
}

func (l *launchdManager) bootstrap(file string) []string {
	return []string{"launchctl", "bootstrap", l.domain(), file}
}

func (l *launchdManager) enable(ctx context.Context, p *Plan, files []writers.File, _ bool) error {
	for _, f := range files {
		path := filepath.Join(l.m.files(), f.Path)
		loaded, err := l.loaded(ctx, path)
		if err != nil {
			return err
		}
		switch {
		case !l.m.live() || p.idle:
		case !loaded:
			p.run(func(ctx context.Context) error {
				if loaded, err := l.loaded(ctx, path); err != nil || !loaded {
					return err
				}
				_, err := l.m.run(ctx, l.bootout(path)...)
				return err
			}, l.bootstrap(path)...)
		case p.plans(Write, path):
			p.hint("%s has changed and takes it up when it is loaded anew: %s; %s", f.Path,
				strings.Join(l.bootout(path), " "), strings.Join(l.bootstrap(path), " "))
		}
	}
	return nil
}

func (l *launchdManager) disable(ctx context.Context, p *Plan, files []found) error {
	for _, f := range files {
		loaded, err := l.loaded(ctx, f.path)
		if err != nil {
			return err
		}
		if loaded {
			p.run(p.command(l.bootstrap(f.path)...), l.bootout(f.path)...)
		}
	}
	return nil
}

// pidIn reads the property list that "list LABEL" prints; only a job that runs has the key.
func pidIn(list string) int {
	_, rest, _ := strings.Cut(list, `"PID" = `)
	digits, _, _ := strings.Cut(rest, ";")
	pid, _ := strconv.Atoi(digits)
	return pid
}

func (l *launchdManager) status(ctx context.Context, files []found) (Status, error) {
	st := Status{Enabled: true}
	if !l.m.live() {
		return st, nil
	}
	up := 0
	for _, f := range files {
		out, err := l.m.run(ctx, "launchctl", "list",
			strings.TrimSuffix(filepath.Base(f.path), ".plist"))
		if _, err := exitStatus(err); err != nil {
			return st, err
		}
		if st.PID = pidIn(out); st.PID != 0 {
			up++
		}
	}
	st.Running = up == len(files)
	if len(files) > 1 {
		st.PID = 0
	}
	return st, nil
}

// control: a job that launchd keeps alive is stopped by taking it out.
func (l *launchdManager) control(ctx context.Context, verb string, files []found) error {
	var errs []error
	for _, f := range files {
		loaded, err := l.loaded(ctx, f.path)
		if err == nil {
			err = l.controlOne(ctx, verb, f.path, loaded)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (l *launchdManager) controlOne(ctx context.Context, verb, path string, loaded bool) error {
	argv := []string{"launchctl", "kickstart", l.job(path)}
	switch {
	case verb == "stop" && loaded:
		argv = l.bootout(path)
	case verb == "stop":
		return nil
	case !loaded:
		argv = l.bootstrap(path)
	case verb == "restart":
		argv = []string{"launchctl", "kickstart", "-k", l.job(path)}
	}
	_, err := l.m.run(ctx, argv...)
	return err
}

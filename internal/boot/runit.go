package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// runitManager is runit: a service is there when runsvdir(8) finds a link to its
// directory.
type runitManager struct{ m *Machine }

// runitScans are the directories that runsvdir looks at: that of Debian, of
// Void, of the author.
var runitScans = []string{"/etc/service", "/var/service", "/service"}

func (r *runitManager) scan() (string, error) {
	if r.m.scan != "" {
		return r.m.scan, nil
	}
	for _, dir := range runitScans {
		if path := r.m.path(dir); tree(path).isDir("/") {
			return path, nil
		}
	}
	return "", fmt.Errorf("runit: none of %s is there", strings.Join(runitScans, ", "))
}

func (r *runitManager) options(context.Context) (writers.Options, error) {
	return writers.Options{}, nil
}
func (r *runitManager) begin(*Plan)        {}
func (r *runitManager) end(*Plan, []found) {}

func (r *runitManager) enable(_ context.Context, p *Plan, files []writers.File, changed bool) error {
	scan, err := r.scan()
	if err != nil {
		return err
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	for _, name := range unitsOf("", paths) {
		dir := filepath.Join(r.m.files(), name)
		p.onUndo(func(ctx context.Context) error { return r.end1(ctx, dir) })
		linked, err := p.link(filepath.Join(scan, name), r.m.inside(dir))
		if err != nil {
			return err
		}
		switch {
		case !r.m.live():
		case linked:
			p.add(Step{Action: Wait, Path: dir + "/supervise/ok"})
			if !slices.ContainsFunc(files, func(f writers.File) bool { return f.Path == name+"/down" }) {
				p.run(nil, "sv", "-w", "30", "start", dir)
			}
		case changed && p.plans(Write, dir+"/run"):
			p.hint("%s has changed and takes it up when it is restarted: sv restart %s", name, dir)
		}
	}
	return nil
}

// end1 ends runsv of a directory, which no link leads to any more, and removes
// what it keeps there.
func (r *runitManager) end1(ctx context.Context, dir string) error {
	if r.m.live() && alive(dir+"/supervise/ok") {
		// As long as the service may take to end; sv itself ends when runsv does.
		if _, err := r.m.run(ctx, "sv", "-w", strconv.Itoa(int(stopTime.Seconds())), "shutdown", dir); err != nil {
			return err
		}
		if err := ended(ctx, dir+"/supervise/ok"); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(dir+"/supervise"), os.RemoveAll(dir+"/log/supervise"))
}

func (r *runitManager) disable(_ context.Context, p *Plan, files []found) error {
	scan, err := r.scan()
	if err != nil {
		return err
	}
	for _, name := range unitsOf(r.m.files(), pathsOf(files)) {
		dir := filepath.Join(r.m.files(), name)
		if target, err := os.Readlink(filepath.Join(scan, name)); err == nil && target == r.m.inside(dir) {
			p.remove(filepath.Join(scan, name), nil)
		}
		p.add(Step{Action: Run, Argv: []string{"sv", "-w", strconv.Itoa(int(stopTime.Seconds())), "shutdown", dir}, do: func(ctx context.Context) error { return r.end1(ctx, dir) }})
	}
	return nil
}

func (r *runitManager) status(_ context.Context, files []found) (Status, error) {
	var st Status
	scan, err := r.scan()
	if err != nil {
		return st, err
	}
	names := unitsOf(r.m.files(), pathsOf(files))
	up := 0
	for _, name := range names {
		dir := filepath.Join(r.m.files(), name)
		target, err := os.Readlink(filepath.Join(scan, name))
		st.Enabled = st.Enabled || err == nil && target == r.m.inside(dir)
		if !r.m.live() || !alive(dir+"/supervise/ok") {
			continue
		}
		// runsv(8): the state in a word, and the pid.
		state := tree(dir).text("supervise/stat")
		st.State = strings.TrimSpace(state)
		if strings.HasPrefix(state, "run") {
			up++
			st.PID, _ = strconv.Atoi(strings.TrimSpace(tree(dir).text("supervise/pid")))
		}
	}
	st.Running = up == len(names)
	if len(names) > 1 {
		st.PID = 0
	}
	return st, nil
}

func (r *runitManager) control(ctx context.Context, verb string, files []found) error {
	argv := []string{"sv", "-w", "60", verb}
	for _, name := range unitsOf(r.m.files(), pathsOf(files)) {
		argv = append(argv, filepath.Join(r.m.files(), name))
	}
	_, err := r.m.run(ctx, argv...)
	return err
}

package boot

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// systemdManager is systemd, of the system or of a user.
type systemdManager struct{ m *Machine }

// systemctl is a command line. In a tree that does not run it makes and removes
// links and nothing else.
func (s *systemdManager) systemctl(words ...string) []string {
	argv := []string{"systemctl"}
	switch {
	case s.m.Owner != nil: // systemd 248
		argv = append(argv, "--user", "--machine="+s.m.Owner.Name+"@.host")
	case s.m.User:
		argv = append(argv, "--user")
	case !s.m.live():
		argv = append(argv, "--root="+s.m.Root)
	}
	return append(argv, words...)
}

// options asks for the version, which is the first property that every manager has.
func (s *systemdManager) options(ctx context.Context) (writers.Options, error) {
	opts := writers.Options{User: s.m.User}
	if !s.m.live() {
		return opts, nil
	}
	out, err := s.m.run(ctx, s.systemctl("show", "--property=Version", "--value")...)
	if err != nil {
		return opts, err
	}
	// "252.39-1~deb12u2", "256~rc3", "v254": a number is at the beginning.
	text := strings.TrimPrefix(strings.TrimSpace(out), "v")
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	// What cannot be read is the oldest version: keys it would not know are left out.
	opts.Version, _ = strconv.Atoi(text[:end])
	return opts, nil
}

// begin takes back the enabling of units that have nothing any more that wants
// them. It is here, before their files are written, because what undoes it needs
// the files as they were.
func (s *systemdManager) begin(ctx context.Context, p *Plan, files []writers.File) error {
	s.reloadOnUndo(p)
	var manual []string
	for _, f := range unitFiles(files) {
		if len(wantedBy(f.Content)) == 0 {
			manual = append(manual, f.Path)
		}
	}
	enabled, err := s.enabled(ctx, manual)
	s.change(p, "disable", "enable", enabled)
	return err
}

// change adds a verb for units, if there are any, with the one that undoes it.
func (s *systemdManager) change(p *Plan, verb, undo string, names []string) {
	if len(names) > 0 {
		p.run(p.command(s.systemctl(append([]string{undo}, names...)...)...),
			s.systemctl(append([]string{verb}, names...)...)...)
	}
}

// reloadOnUndo has the manager forget again what it read, after all else is undone.
func (s *systemdManager) reloadOnUndo(p *Plan) {
	if s.m.live() {
		p.onUndo(p.command(s.systemctl("daemon-reload")...))
	}
}

// enabled returns those of the units that are enabled.
func (s *systemdManager) enabled(ctx context.Context, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var enabled []string
	if !s.m.live() {
		for _, name := range names {
			content, err := os.ReadFile(filepath.Join(s.m.files(), name))
			if err := ignoreMissing(err); err != nil {
				return nil, err
			}
			if targets := wantedBy(content); len(targets) > 0 && s.linked(name, targets) {
				enabled = append(enabled, name)
			}
		}
		return enabled, nil
	}
	units, err := s.show(ctx, names)
	for i, u := range units {
		if u.file == "enabled" {
			enabled = append(enabled, names[i])
		}
	}
	return enabled, err
}

// wantedBy returns the targets that start a unit by its file.
func wantedBy(content []byte) []string {
	var targets []string
	install := false
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, maxFile)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "[") {
			install = line == "[Install]"
		}
		if list, ok := strings.CutPrefix(line, "WantedBy="); ok && install {
			targets = append(targets, strings.Fields(list)...)
		}
	}
	return targets
}

func (s *systemdManager) enable(
	ctx context.Context, p *Plan, files []writers.File, changed bool,
) error {
	if !s.m.live() {
		return s.enableInTree(p, files)
	}
	var all, installed []string
	for _, f := range unitFiles(files) {
		all = append(all, f.Path)
		if len(wantedBy(f.Content)) > 0 {
			installed = append(installed, f.Path)
		}
	}
	units, err := s.show(ctx, all)
	if err != nil {
		return err
	}
	if changed || slices.ContainsFunc(units, func(u unit) bool { return u.reload }) {
		p.run(nil, s.systemctl("daemon-reload")...)
	}
	var enable, start []string
	for i, name := range all {
		u := units[i]
		if !slices.Contains(installed, name) {
			continue
		}
		fresh := u.file != "enabled"
		if fresh {
			enable = append(enable, name)
		}
		// To start what is on its way is to wait for it. A oneshot that ran at boot is not run
		// again.
		if !p.idle && !u.up() && (fresh || u.kind != "oneshot") {
			start = append(start, name)
		}
		if (u.up() || u.active == "activating") && s.writes(p, name) {
			p.hint("%s has changed and takes it up when it is restarted: %s",
				name, strings.Join(s.systemctl("restart", name), " "))
		}
	}
	s.change(p, "enable", "disable", enable)
	if len(start) > 0 {
		s.start(p, start)
	}
	return s.lingering(ctx, p)
}

// writes says whether a unit or its variables are written.
func (s *systemdManager) writes(p *Plan, name string) bool {
	path := filepath.Join(s.m.files(), name)
	return p.plans(Write, path) || p.plans(Write, strings.TrimSuffix(path, ".service")+variables)
}

// variables ends the name of the file that a unit has its variables from. It is no unit.
const variables = ".env"

func unitFiles(files []writers.File) []writers.File {
	return slices.DeleteFunc(slices.Clone(files),
		func(f writers.File) bool { return strings.HasSuffix(f.Path, variables) })
}

// units are the names of the units among files.
func (s *systemdManager) units(files []found) []string {
	return slices.DeleteFunc(unitsOf(s.m.files(), pathsOf(files)),
		func(name string) bool { return strings.HasSuffix(name, variables) })
}

// start adds the start of units. Why one does not start is asked for: what
// systemctl says is made for people.
func (s *systemdManager) start(p *Plan, names []string) {
	p.onUndo(func(ctx context.Context) error { return s.quiet(ctx, names) })
	argv := s.systemctl(append([]string{"start"}, names...)...)
	p.add(Step{Action: Run, Argv: argv, do: func(ctx context.Context) error {
		_, err := s.m.run(ctx, argv...)
		if err == nil {
			return nil
		}
		units, showErr := s.show(context.WithoutCancel(ctx), names)
		if showErr != nil {
			return err
		}
		for _, u := range units {
			switch {
			case u.load != "loaded":
				return fmt.Errorf("%s: systemd refuses the unit: %s: %w", u.id, u.load, err)
			case !u.up() && (u.active != "activating" || u.sub == "auto-restart"):
				return fmt.Errorf("%s: did not start: %s: %w", u.id, u.result, err)
			}
		}
		return err
	}})
}

// quiet stops units and has systemd forget their failures: of a unit that never
// came to be, neither can be asked, and that is no failure.
func (s *systemdManager) quiet(ctx context.Context, names []string) error {
	err := s.each(ctx, "stop", names, func(u unit) bool { return !u.down() })
	if err != nil {
		return err
	}
	return s.forget(ctx, names)
}

// forget has systemd forget that units have failed.
func (s *systemdManager) forget(ctx context.Context, names []string) error {
	return s.each(ctx, "reset-failed", names, func(u unit) bool { return u.active == "failed" })
}

// each runs a verb for those of the units that need it.
func (s *systemdManager) each(
	ctx context.Context, verb string, names []string, needs func(unit) bool,
) error {
	units, err := s.show(ctx, names)
	if err != nil {
		return err
	}
	for _, u := range units {
		if needs(u) {
			if _, err := s.m.run(ctx, s.systemctl(verb, u.id)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// enableInTree has systemctl make the links that are missing.
func (s *systemdManager) enableInTree(p *Plan, files []writers.File) error {
	var names []string
	for _, f := range files {
		if targets := wantedBy(f.Content); len(targets) > 0 && !s.linked(f.Path, targets) {
			names = append(names, f.Path)
		}
	}
	s.change(p, "enable", "disable", names)
	return nil
}

// linked says whether targets of a tree want a unit.
func (s *systemdManager) linked(name string, targets []string) bool {
	return !slices.ContainsFunc(targets, func(target string) bool {
		return !tree(s.m.files()).exists(filepath.Join(target+".wants", name))
	})
}

func (s *systemdManager) disable(ctx context.Context, p *Plan, files []found) error {
	names := s.units(files)
	if len(names) == 0 {
		return nil
	}
	var running []string
	enabled, err := s.enabled(ctx, names)
	if err != nil {
		return err
	}
	if s.m.live() {
		units, err := s.show(ctx, names)
		if err != nil {
			return err
		}
		for i, u := range units {
			if !u.down() {
				running = append(running, names[i])
			}
		}
	}
	s.change(p, "stop", "start", running)
	s.change(p, "disable", "enable", enabled)
	// When it is undone, the manager must have read the files before it can start them.
	s.reloadOnUndo(p)
	return nil
}

func (s *systemdManager) end(p *Plan, files []found) {
	names := s.units(files)
	if !s.m.live() || len(names) == 0 {
		return
	}
	p.run(nil, s.systemctl("daemon-reload")...)
	p.add(Step{do: func(ctx context.Context) error { return s.forget(ctx, names) }})
}

func (s *systemdManager) status(ctx context.Context, files []found) (Status, error) {
	var st Status
	if !s.m.live() {
		enabled, err := s.enabled(ctx, s.units(files))
		st.Enabled = len(enabled) > 0
		return st, err
	}
	units, err := s.show(ctx, s.units(files))
	if err != nil {
		return st, err
	}
	services, up := 0, 0
	for _, u := range units {
		st.Enabled = st.Enabled || u.file == "enabled"
		if !strings.HasSuffix(u.id, ".service") {
			continue
		}
		services++
		if st.State == "" || !u.up() {
			st.State = u.active
		}
		if u.up() {
			up++
			st.PID = u.pid
		}
	}
	st.Running = services > 0 && up == services
	if services > 1 {
		st.PID = 0
	}
	return st, nil
}

func (s *systemdManager) control(ctx context.Context, verb string, files []found) error {
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f.path, ".service") ||
			len(wantedBy(f.content)) > 0 && verb != "restart" {
			names = append(names, filepath.Base(f.path))
		}
	}
	_, err := s.m.run(ctx, s.systemctl(append([]string{verb}, names...)...)...)
	return err
}

// lingering tells a user that their manager is started at boot, and outlives
// the login, only if they may linger (loginctl(1)), or has it so.
func (s *systemdManager) lingering(ctx context.Context, p *Plan) error {
	if !s.m.User {
		return nil
	}
	user := strconv.Itoa(s.m.UID)
	// It fails for a user who neither is logged in nor lingers.
	out, err := s.m.run(ctx, "loginctl", "show-user", "--property=Linger", "--value", user)
	switch {
	case err == nil && strings.TrimSpace(out) == "yes":
	case s.m.Linger:
		p.run(p.command("loginctl", "disable-linger", user), "loginctl", "enable-linger", user)
	case s.m.Owner != nil:
		p.hint("without lingering it starts at the login of %s and ends with the logout: loginctl "+
			"enable-linger %[1]s", s.m.Owner.Name)
	default:
		p.hint("without lingering it starts at your login and ends with your logout: loginctl " +
			"enable-linger")
	}
	return nil
}

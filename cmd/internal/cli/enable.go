package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/spec"
)

// bootCall is what the words of "daemonry enable" and "disable" ask for.
type bootCall struct {
	described
	native, plan, json bool
	root               string
}

func (c *bootCall) rootOption() option {
	return option{"root", "DIR", "Change the tree in DIR, which does not run: nothing is started or stopped.", "this machine", parsed(&c.root, filepath.Abs)}
}

func enableVerb(a *app) *verb {
	call := &bootCall{}
	return &verb{
		page: page{
			name:  "enable",
			short: "have services there after every boot",
			synopsis: []string{
				"daemonry enable [--plan] [--json] [-f FILE | NAME…]",
				"daemonry enable --native [--plan] [--json] [-f FILE] [NAME…]",
			},
			about: []string{
				"Makes the supervisor a boot service of the machine's init system: systemd, OpenRC, SysV init, runit, s6, launchd or FreeBSD's rc. After a reboot it starts its services as they were wanted: what was stopped by hand stays stopped. With -f it then takes in FILE as \"up\" does, with names it starts those services. If a supervisor runs already it goes on, with all its services, and the boot service takes its place at the next boot.",
				"With --native the services themselves are handed to the init system, without us in between: those of FILE, or those that the supervisor has, which gives them up. What the init system does otherwise is said, a line for each field, as by \"export\".",
				"Files are written whole or not at all. If anything fails, everything is undone, and the machine is as it was. A file that we did not write, or that was changed since, is not replaced. What is done already is not done again.",
				"Root changes the boot of the machine; others that of their own services, which systemd and launchd have. There systemd starts them at your first login, and ends them with your last logout, unless you may linger: loginctl enable-linger.",
			},
			options: []group{{"", []option{
				{"native", "", "Hand the services over to the init system.", "", toggle(&call.native)},
				{"f, file", "FILE", "The file of services, or a directory with a daemonry.toml in it.", "", parsed(&call.file, word)},
				call.rootOption(),
				{"plan", "", "Print what would be written and run, and by what the init system is known, and do nothing.", "", toggle(&call.plan)},
				{"json", "", "Print an array of objects, with --plan an object; then what \"up\" or \"start\" print.", "", toggle(&call.json)},
			}}},
			statuses: []row{
				{"0", "enabled, and what was to be started is up"},
				{"1", "not enabled, and nothing is left of it; the message says why"},
				{"128+N", "signal N ended it; what was done is undone"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry enable", "What runs now, after every boot too:"},
				{"daemonry enable --plan --native -f web.toml", "What the init system would get:"},
			},
			seeAlso: []string{"daemonry disable", "daemonry up", "daemonry export", "docs/boot.md"},
		},
		run: func(words []string) error { return a.enable(call, words) },
	}
}

// bootMachine is the machine, with the hint for what is missing.
func (a *app) bootMachine(call *bootCall) (*boot.Machine, boot.Evidence, error) {
	find := a.here
	if call.root != "" {
		find = func() (*boot.Machine, boot.Evidence, error) { return boot.In(call.root) }
	}
	m, evidence, err := find()
	var unknown *boot.UnknownError
	var noUsers *boot.NoUserServicesError
	switch {
	case errors.As(err, &unknown):
		err = &statusError{status: exitFailed, err: err, hint: "in a container: daemonry run"}
	case errors.As(err, &noUsers):
		err = &statusError{status: exitFailed, err: err, hint: "in crontab -e: @reboot daemonry supervisor start"}
	}
	return m, evidence, err
}

// here is the machine that we run on.
func (a *app) here() (*boot.Machine, boot.Evidence, error) {
	if a.machine != nil {
		return a.machine()
	}
	return boot.Here()
}

// bootService is our supervisor as a boot service, as far as it is one.
func (a *app) bootService(ctx context.Context) (*boot.Machine, boot.Status, error) {
	m, _, err := a.here()
	if err != nil {
		return m, boot.Status{}, nil // where nothing can be enabled, nothing is
	}
	supervisor, err := boot.SupervisorOf(os.Getenv, os.Geteuid())
	if err != nil {
		return m, boot.Status{}, err
	}
	st, err := m.Status(ctx, supervisor.Name())
	return m, st, err
}

// bootTime is what an init system has to start the supervisor, and the supervisor to read what
// it has to restore, on a machine that is just booting.
const bootTime = time.Minute

// startBootService has the init system start the supervisor where that is its business: one
// that we started would be in the way of its own, again and again.
func (a *app) startBootService(ctx context.Context, s *session) (bool, error) {
	m, st, err := a.bootService(ctx)
	if err != nil || !st.Enabled {
		return false, err
	}
	if err := m.Start(ctx, st.Name); err != nil {
		return true, &statusError{status: exitOurs, err: fmt.Errorf("start the supervisor: %w", err)}
	}
	if err := a.appear(ctx, s, bootTime); err != nil {
		return true, &statusError{status: exitOurs, err: fmt.Errorf("%s started the supervisor, which does not answer: %w", m.System, err)}
	}
	_, err = fmt.Fprintf(a.err, "%s: %s started the supervisor\n", program, m.System)
	return true, err
}

// supervisorStopper is what ends a supervisor: the init system, if that runs it, for some of
// them start again whatever they have not stopped themselves.
func (a *app) supervisorStopper(ctx context.Context, s *session, pid int) (func(ctx context.Context) error, error) {
	m, st, err := a.bootService(ctx)
	if err != nil || !st.Running || st.PID != 0 && st.PID != pid {
		return s.Shutdown, err
	}
	return func(ctx context.Context) error { return m.Stop(ctx, st.Name) }, nil
}

func (a *app) enable(call *bootCall, words []string) error {
	switch {
	case !call.native && call.file != "" && len(words) > 0:
		return usagef("", "%q and --file: name one or the other, or --native", words[0])
	case !call.native && call.root != "" && (call.file != "" || len(words) > 0):
		return usagef("", "--root: no supervisor runs there that could take services in")
	}
	ctx, done := untilSignal()
	defer done()
	m, evidence, err := a.bootMachine(call)
	if err != nil {
		return err
	}
	if call.native {
		return a.enableNative(ctx, call, m, evidence, words)
	}
	return a.enableSupervisor(ctx, call, m, evidence, words)
}

// enableSupervisor makes the supervisor a boot service, and has it take in what is named.
func (a *app) enableSupervisor(ctx context.Context, call *bootCall, m *boot.Machine, evidence boot.Evidence, words []string) error {
	up := &fileCall{file: call.file, plan: call.plan, json: call.json}
	if call.file != "" {
		if _, err := a.readSupervised(call.file); err != nil { // before anything is done
			return err
		}
	}
	s, err := boot.SupervisorOf(os.Getenv, os.Geteuid())
	if err != nil {
		return err
	}
	st, err := m.Status(ctx, s.Name())
	if err != nil {
		return err
	}
	var about *control.Supervisor
	if call.root == "" {
		if about, err = a.runningSupervisor(ctx); err != nil {
			return err
		}
	}
	s.Running = about != nil && !st.Running
	plan, err := m.EnableSupervisor(ctx, s)
	if err != nil {
		return inTheWay(err, "see whose it is, and move it away")
	}
	if call.plan {
		if err := a.printBootPlan(call, plan, evidence); err != nil || call.file == "" {
			return err
		}
		return a.up(up, nil)
	}
	if err := a.applyBoot(ctx, plan); err != nil {
		return err
	}
	if s.Running {
		plan.Hints = append(plan.Hints, fmt.Sprintf("the supervisor that runs, process %d, goes on; the boot service takes its place at the next boot", about.PID))
	}
	if err := a.printBoot(ctx, call, m, plan, s.Name()); err != nil {
		return err
	}
	switch {
	case call.file != "":
		err = a.awaited(ctx)
		if err == nil {
			err = a.up(up, nil)
		}
	case len(words) > 0:
		err = a.awaited(ctx)
		if err == nil {
			err = a.startNamed(&startCall{change: change{json: call.json}}, words)
		}
	}
	return err
}

// awaited waits for a supervisor that an init system has started without waiting for it.
func (a *app) awaited(ctx context.Context) error {
	s, err := a.session()
	var lost *lostError
	if err == nil || errors.As(err, &lost) {
		return a.appear(ctx, s, bootTime)
	}
	if absent(err) {
		return nil // the commands start one themselves
	}
	return err
}

// runningSupervisor is nil if none runs.
func (a *app) runningSupervisor(ctx context.Context) (*control.Supervisor, error) {
	s, err := a.session()
	var about control.Supervisor
	if err == nil {
		about, err = s.Supervisor(ctx)
	}
	switch {
	case absent(err):
		return nil, nil
	case err != nil:
		return nil, failure(err, exitFailed, nil)
	}
	return &about, nil
}

// enableNative hands services to the init system. Those that the supervisor has are stopped
// there first, for two of one service would be in each other's way, and started again if the
// init system does not take them.
func (a *app) enableNative(ctx context.Context, call *bootCall, m *boot.Machine, evidence boot.Evidence, words []string) error {
	services, err := a.describedServices(ctx, call.described, words)
	if err != nil {
		return err
	}
	plan, err := m.Enable(ctx, services)
	if err != nil {
		return inTheWay(err, "see whose it is, and move it away")
	}
	var given handover
	if call.root == "" {
		if given, err = a.handedOver(ctx, services); err != nil {
			return err
		}
	}
	if len(given.names) > 0 {
		plan.Hints = append(plan.Hints, "the supervisor gives up "+strings.Join(given.names, ", "))
	}
	if call.plan {
		return a.printBootPlan(call, plan, evidence)
	}
	if err := given.stop(ctx); err != nil {
		return err
	}
	if err := a.applyBoot(ctx, plan); err != nil {
		return given.back(ctx, err)
	}
	if err := given.remove(ctx); err != nil {
		return given.back(ctx, errors.Join(err, plan.Undo(context.WithoutCancel(ctx))))
	}
	return a.printBoot(ctx, call, m, plan, baseNames(services)...)
}

// handover is services that the supervisor gives up.
type handover struct {
	session *session
	names   []string // all of them
	up      []string // those that were to be up
}

// handedOver are those of the services that the supervisor has.
func (a *app) handedOver(ctx context.Context, services []spec.Service) (handover, error) {
	var h handover
	s, err := a.session()
	var list []control.Status
	if err == nil {
		list, err = s.Status(ctx, control.StatusRequest{})
	}
	if absent(err) {
		return h, nil
	}
	if err != nil {
		return h, failure(err, exitFailed, nil)
	}
	h.session = s
	there := map[string]control.Status{}
	for _, st := range list {
		there[st.Name] = st
	}
	for _, one := range spec.ExpandSet(services) {
		if st, ok := there[one.Name]; ok {
			h.names = append(h.names, one.Name)
			if st.Wanted {
				h.up = append(h.up, one.Name)
			}
		}
	}
	return h, nil
}

func (h handover) stop(ctx context.Context) error {
	if len(h.up) == 0 {
		return nil
	}
	if err := h.session.Stop(ctx, control.Named(h.up...)); err != nil {
		return h.back(ctx, interrupted(ctx, failure(err, exitFailed, h.up), "the supervisor to give up "+strings.Join(h.up, ", ")))
	}
	return nil
}

func (h handover) remove(ctx context.Context) error {
	if len(h.names) == 0 {
		return nil
	}
	return failure(h.session.Remove(ctx, control.Named(h.names...)), exitFailed, h.names)
}

// back has the supervisor go on with what it had.
func (h handover) back(ctx context.Context, err error) error {
	if len(h.up) == 0 {
		return err
	}
	if startErr := h.session.Start(context.WithoutCancel(ctx), control.Named(h.up...)); startErr != nil {
		return fmt.Errorf("%w; and the supervisor could not start %s again: %w", err, strings.Join(h.up, ", "), startErr)
	}
	return err
}

// baseNames are the names of services, of instances that of the service they are of.
func baseNames(services []spec.Service) []string {
	var names []string
	for _, s := range services {
		if name := s.BaseName(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func disableVerb(a *app) *verb {
	call := &bootCall{}
	return &verb{
		page: page{
			name:     "disable",
			short:    "take back what \"enable\" did",
			synopsis: []string{"daemonry disable [--plan] [--json] [-f FILE] [NAME…]"},
			about: []string{
				"Without names: the supervisor is no boot service any more. If the init system runs it, it is stopped with its services, as by \"supervisor stop\"; what is wanted of them is kept, and \"supervisor start\" or \"enable\" start them again.",
				"With names, or with those of FILE: services that \"enable --native\" has handed over are stopped, and their files removed. Only files that we wrote are, known by the mark in them; one that was changed since is left, and nothing is done. What is not enabled is no failure.",
			},
			options: []group{{"", []option{
				{"f, file", "FILE", "The file of services, or a directory with a daemonry.toml in it.", "", parsed(&call.file, word)},
				call.rootOption(),
				{"plan", "", "Print what would be run and removed, and do nothing.", "", toggle(&call.plan)},
				{"json", "", "Print an array of objects; with --plan an object.", "", toggle(&call.json)},
			}}},
			statuses: []row{
				{"0", "nothing of it is left"},
				{"1", "not disabled, and it is as it was; the message says why"},
				{"128+N", "signal N ended it; what was done is undone"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry disable", "No boot service any more:"},
				{"daemonry disable --plan web", "What is there of one:"},
			},
			seeAlso: []string{"daemonry enable", "docs/boot.md"},
		},
		run: func(words []string) error { return a.disable(call, words) },
	}
}

func (a *app) disable(call *bootCall, words []string) error {
	ctx, done := untilSignal()
	defer done()
	m, evidence, err := a.bootMachine(call)
	if err != nil {
		return err
	}
	names := words
	switch {
	case call.file != "":
		services, err := a.describedServices(ctx, call.described, words)
		if err != nil {
			return err
		}
		names = baseNames(services)
	case len(words) == 0:
		s, err := boot.SupervisorOf(os.Getenv, os.Geteuid())
		if err != nil {
			return err
		}
		names = []string{s.Name()}
	}
	for _, name := range names {
		if err := spec.CheckName(name); err != nil {
			return usagef("", "%w", err)
		}
	}
	plan, err := m.Disable(ctx, names...)
	if err != nil {
		return inTheWay(err, "it is yours now: undo the change, or stop the service and remove the file yourself")
	}
	if call.plan {
		return a.printBootPlan(call, plan, evidence)
	}
	if err := a.applyBoot(ctx, plan); err != nil {
		return err
	}
	return a.printBoot(ctx, call, m, plan, names...)
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/spec"
)

func enableVerb(a *app) *verb {
	call := &bootCall{}
	return &verb{
		options: []group{
			{"", append([]option{{"native", "", "", toggle(&call.native)}}, call.options()...)},
		},
		run: func(words []string) error { return a.enable(call, words) },
	}
}

func (a *app) enable(call *bootCall, words []string) error {
	switch {
	case !call.native && call.file != "" && len(words) > 0:
		return usagef("%q and --file: name one or the other, or --native", words[0])
	case !call.native && call.root != "" && (call.file != "" || len(words) > 0):
		return usagef("--root: no supervisor runs there that could take services in")
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
func (a *app) enableSupervisor(ctx context.Context, call *bootCall, m *boot.Machine,
	evidence boot.Evidence, words []string) error {
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
		plan.Hints = append(plan.Hints, fmt.Sprintf("the supervisor that runs, process %d, "+
			"goes on; the boot service takes its place at the next boot", about.PID))
	}
	if err := a.printBoot(ctx, call, m, plan, s.Name()); err != nil {
		return err
	}
	if call.file == "" && len(words) == 0 {
		return nil
	}
	if err := a.awaited(ctx); err != nil {
		return err
	}
	if call.file != "" {
		return a.up(up, nil)
	}
	return a.startNamed(&startCall{change: change{json: call.json}}, words)
}

// enableNative hands services to the init system. Those that the supervisor has are stopped
// there first, for two of one service would be in each other's way, and started again if the
// init system does not take them.
func (a *app) enableNative(ctx context.Context, call *bootCall, m *boot.Machine,
	evidence boot.Evidence, words []string) error {
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
		return h.back(ctx, interrupted(ctx, failure(err, exitFailed, h.up),
			"the supervisor to give up "+strings.Join(h.up, ", ")))
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
	if startErr := h.session.Start(context.WithoutCancel(ctx),
		control.Named(h.up...)); startErr != nil {
		return fmt.Errorf("%w; and the supervisor could not start %s again: %w", err,
			strings.Join(h.up, ", "), startErr)
	}
	return err
}

package cli

import (
	"os"

	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/spec"
)

func disableVerb(a *app) *verb {
	call := &bootCall{}
	return &verb{
		options: []group{{"", call.options()}},
		run:     func(words []string) error { return a.disable(call, words) },
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
			return usagef("%w", err)
		}
	}
	plan, err := m.Disable(ctx, names...)
	if err != nil {
		return inTheWay(err, "it is yours now: undo the change, "+
			"or stop the service and remove the file yourself")
	}
	if call.plan {
		return a.printBootPlan(call, plan, evidence)
	}
	if err := a.applyBoot(ctx, plan); err != nil {
		return err
	}
	return a.printBoot(ctx, call, m, plan, names...)
}

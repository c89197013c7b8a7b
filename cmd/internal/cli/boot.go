package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/internal/writers"
)

// applyBoot does what is planned. A signal has it undone, not left half done.
func (a *app) applyBoot(ctx context.Context, plan *boot.Plan) error {
	a.printNotes(plan.Notes)
	return plan.Apply(ctx)
}

// plannedBoot is a plan as "--plan --json" shows it.
type plannedBoot struct {
	System   boot.System    `json:"system"`
	Evidence []string       `json:"evidence"`
	Steps    []plannedStep  `json:"steps"`
	Notes    []writers.Note `json:"notes"`
	Hints    []string       `json:"hints"`
}

type plannedStep struct {
	boot.Step
	Mode    string `json:"mode,omitempty"` // in octal
	Content string `json:"content,omitempty"`
}

// printBootPlan prints what would be done, each file with its content.
func (a *app) printBootPlan(call *bootCall, plan *boot.Plan, evidence boot.Evidence) error {
	if call.json {
		p := plannedBoot{System: plan.System, Evidence: evidence, Steps: []plannedStep{},
			Notes: plan.Notes, Hints: plan.Hints}
		for _, s := range plan.Steps() {
			step := plannedStep{Step: s, Content: string(s.Content)}
			if s.Mode != 0 {
				step.Mode = fmt.Sprintf("%04o", s.Mode)
			}
			p.Steps = append(p.Steps, step)
		}
		return a.writeJSON(p)
	}
	a.printNotes(plan.Notes)
	a.printHints(plan)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", plan.System, printable(strings.Join(evidence, "; ")))
	for _, s := range plan.Steps() {
		fmt.Fprintln(&b, printable(s.String()))
		for line := range strings.Lines(string(s.Content)) {
			fmt.Fprintln(&b,
				strings.TrimRight("    "+printable(strings.TrimSuffix(line, "\n")), " "))
		}
	}
	if len(plan.Steps()) == 0 {
		b.WriteString("nothing to do\n")
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

func (a *app) printHints(plan *boot.Plan) {
	for _, h := range plan.Hints {
		fmt.Fprintf(a.err, "note: %s\n", oneLine(h))
	}
}

// printBoot prints how each service is now, by what the init system says.
func (a *app) printBoot(ctx context.Context, call *bootCall, m *boot.Machine, plan *boot.Plan,
	names ...string) error {
	a.printHints(plan)
	list := []boot.Status{}
	for _, name := range names {
		st, err := m.Status(ctx, name)
		if err != nil {
			return err
		}
		list = append(list, st)
	}
	if call.json {
		return a.writeJSON(list)
	}
	for _, st := range list {
		if _, err := fmt.Fprintf(a.out, "%s: %s\n", st.Name, bootState(st)); err != nil {
			return err
		}
	}
	return nil
}

// bootState is a status in a few words.
func bootState(st boot.Status) string {
	if len(st.Files) == 0 {
		return "no boot service of " + string(st.System)
	}
	text := "a service of " + string(st.System) + ", not started at boot"
	if st.Enabled {
		text = "started at boot by " + string(st.System)
	}
	switch {
	case st.Running && st.PID != 0:
		return fmt.Sprintf("%s; running: process %d", text, st.PID)
	case st.Running:
		return text + "; running"
	case st.State != "":
		return text + "; " + st.State
	}
	return text + "; not running"
}

// bootCall is what the words of "daemonry enable" and "disable" ask for.
type bootCall struct {
	described
	native, plan, json bool
	root               string
}

func (c *bootCall) options() []option {
	return []option{
		{"f, file", "FILE", "", parsed(&c.file, word)},
		{"root", "DIR", "this machine", parsed(&c.root, filepath.Abs)},
		{"plan", "", "", toggle(&c.plan)},
		{"json", "", "", toggle(&c.json)},
	}
}

// bootMachine is the machine, with the hint for what is missing.
func (a *app) bootMachine(call *bootCall) (*boot.Machine, boot.Evidence, error) {
	find := a.here
	if call.root != "" {
		find = func() (*boot.Machine, boot.Evidence, error) { return boot.In(call.root) }
	}
	m, evidence, err := find()
	switch {
	case errors.As(err, new(*boot.UnknownError)):
		err = &statusError{status: exitFailed, err: err, hint: "in a container: daemonry run"}
	case errors.As(err, new(*boot.NoUserServicesError)):
		err = &statusError{status: exitFailed, err: err,
			hint: "in crontab -e: @reboot daemonry supervisor start"}
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
		return true, statusf(exitOurs, "start the supervisor: %w", err)
	}
	if err := a.appear(ctx, s, bootTime); err != nil {
		return true, statusf(exitOurs, "%s started the supervisor, which does not answer: %w",
			m.System, err)
	}
	_, err = fmt.Fprintf(a.err, "%s: %s started the supervisor\n", program, m.System)
	return true, err
}

// supervisorStopper is what ends a supervisor: the init system, if that runs it, for some of
// them start again whatever they have not stopped themselves.
func (a *app) supervisorStopper(
	ctx context.Context, s *session, pid int,
) (func(ctx context.Context) error, error) {
	m, st, err := a.bootService(ctx)
	if err != nil || !st.Running || st.PID != 0 && st.PID != pid {
		return s.Shutdown, err
	}
	return func(ctx context.Context) error { return m.Stop(ctx, st.Name) }, nil
}

// awaited waits for a supervisor that an init system has started without waiting for it.
func (a *app) awaited(ctx context.Context) error {
	s, err := a.session()
	if err == nil || errors.As(err, new(*lostError)) {
		return a.appear(ctx, s, bootTime)
	}
	if absent(err) {
		return nil // the commands start one themselves
	}
	return err
}

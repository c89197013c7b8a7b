package cli

import (
	"context"
	"fmt"
	"strings"

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
		p := plannedBoot{System: plan.System, Evidence: evidence, Steps: []plannedStep{}, Notes: plan.Notes, Hints: plan.Hints}
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
			fmt.Fprintln(&b, strings.TrimRight("    "+printable(strings.TrimSuffix(line, "\n")), " "))
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
func (a *app) printBoot(ctx context.Context, call *bootCall, m *boot.Machine, plan *boot.Plan, names ...string) error {
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

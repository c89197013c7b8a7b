package nomad

import (
	"maps"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

func task(a *writers.Account, h *body) {
	a.Use("command", "env", "user", "cap", "stop", "stop_timeout")
	h.open("task %s", h.text(a.Name))
	h.line("driver = %s", h.text("exec"))
	if user, group := a.UserGroup(); user != "" {
		h.line("user   = %s", h.text(user))
		a.NoteIf(group != "",
			"user", "the group %s is left out: Nomad takes that of the user", group)
	}
	h.line("kill_signal  = %s", h.text("SIG"+string(a.Stop[0].Signal)))
	h.line("kill_timeout = %s", h.text(span(a.StopTotal())))
	if len(a.Stop) > 1 {
		a.Note("stop", "Nomad sends %s alone, and KILL when the time of all steps is over",
			a.Stop[0].Signal)
	}
	h.open("config")
	h.line("command = %s", h.text(a.Program(a.Command)))
	h.line("args    = %s", h.texts(a.Command[1:]))
	if a.Cap != nil {
		h.line("cap_drop = %s", h.texts([]string{"all"}))
		h.line("cap_add  = %s", h.texts(a.Cap))
	}
	h.close()
	if len(a.Env) > 0 {
		h.mapping("env", a.Env)
	}
	interpolation(a)
	resources(a, h)
	h.close()
}

// isComposed tells whether text is surely in Unicode's form NFC, into which HCL
// turns every text: all that stands before the combining marks is.
func isComposed(text string) bool {
	const firstMark = 0x300
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= firstMark })
}

// interpolation tells of what Nomad would replace when the task starts, for
// which it has no escape.
func interpolation(a *writers.Account) {
	for _, word := range slices.Concat([]string(a.Command), slices.Sorted(maps.Values(a.Env))) {
		a.NoteIf(!isComposed(word),
			"command", "%.40q may change: HCL turns every text into Unicode's form NFC", word)
	}
	for _, word := range a.Command {
		if strings.Contains(word, "${") {
			a.Note("command", "%.40q: Nomad replaces what it knows of ${…} when the task starts",
				word)
		}
	}
	for _, name := range a.EnvNames() {
		if strings.Contains(a.Env[name], "${") {
			a.Note("env", "%s: Nomad replaces what it knows of ${…} when the task starts", name)
		}
		a.NoteIf(!writers.IsEnvName(strings.ReplaceAll(name, ".", "_")),
			"env", "%q: Nomad puts _ in place of what is no letter, digit, . or _", name)
	}
}

// resources are what is reserved and, for memory, the most there is. Nomad
// counts processors in MHz or in whole cores.
func resources(a *writers.Account, h *body) {
	a.Use("limits.memory")
	l := a.Limits
	cores := int(l.CPUs)
	switch {
	case l.CPUs == 0:
	case float64(cores) == l.CPUs:
		a.Note("limits.cpus", "are %d cores of its own", cores)
	default:
		cores = 0
		a.Note("limits.cpus", "left out: Nomad counts MHz, or whole cores")
	}
	if l.Memory == 0 && cores == 0 {
		return
	}
	h.open("resources")
	if cores > 0 {
		h.line("cores  = %d", cores)
	}
	if l.Memory > 0 {
		const mib = spec.ByteSize(1 << 20)
		h.line("memory = %d", max(10, (l.Memory+mib-1)/mib))
	}
	h.close()
}

// quote writes a quoted template of HCL2. "$" and "%" before "{" would begin an
// interpolation or a directive; as escapes they cannot.
func quote(text string) (string, error) {
	return writers.DoubleQuoted("HCL", text, func(i int, r rune) bool {
		beforeBrace := i+1 < len(text) && strings.IndexByte("{$%", text[i+1]) >= 0
		return (r == '$' || r == '%') && beforeBrace
	})
}

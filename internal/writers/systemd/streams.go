package systemd

import (
	"cmp"
	"fmt"

	"github.com/daemonry/daemonry/spec"
)

// streams says where the standard descriptors lead. The log is the journal,
// unless the service names a file.
func (w *writer) streams() {
	w.Use("stdin", "stdout", "stderr", "log.targets", "log.file", "log.error_file", "log.facility",
		"log.rate_limit")
	switch w.Stdin.Kind {
	case spec.StreamPath:
		w.prefixed("StandardInput", "file:", w.Stdin.Path)
	case spec.StreamInherit:
		w.Note("stdin", "is /dev/null: there is nobody to inherit from")
	}
	w.output("StandardOutput", "stdout", w.Stdout, w.Log.File)
	w.output("StandardError", "stderr", w.Stderr, cmp.Or(w.Log.ErrorFile, w.Log.File))
	if w.Says("log.facility") {
		w.set("SyslogFacility", w.Log.Facility)
	}
	if r := w.Log.RateLimit; r.Events > 0 {
		w.set("LogRateLimitIntervalSec", timespan(r.Per))
		w.set("LogRateLimitBurst", r.Events)
		w.Note("log.rate_limit",
			"holds for the journal, and for all processes of the unit together")
	}
	for _, target := range w.Log.Targets {
		switch target.Kind {
		case spec.TargetJournald, spec.TargetNone:
		case spec.TargetFile:
			w.NoteIf(w.Says("log.targets") && w.Log.File == "",
				"log.targets", "the journal takes the place of the file: log.file names one")
		default:
			w.Note("log.targets", "%s is left out: the journal takes its place", target)
		}
	}
}

func (w *writer) output(key, field string, s spec.Stream, logFile string) {
	switch s.Kind {
	case spec.StreamNull:
		w.set(key, "null")
	case spec.StreamStdout:
		w.set(key, "inherit") // of StandardError: the same as StandardOutput
	case spec.StreamPath:
		w.prefixed(key, "append:", s.Path)
	case spec.StreamTruncate:
		w.prefixed(key, "truncate:", s.Path)
	case spec.StreamInherit:
		w.set(key, "journal")
		w.Note(field, "goes to the journal: there is nobody to inherit from")
	case spec.StreamLog:
		switch {
		case w.Log.Targets[0].Kind == spec.TargetNone:
			w.set(key, "null")
		case logFile != "":
			w.prefixed(key, "append:", logFile)
		default:
			w.set(key, "journal")
		}
	}
}

// limits bound the service as a whole.
func (w *writer) limits() {
	w.Use("limits.memory", "limits.memory_high", "limits.swap", "limits.cpus", "limits.cpu_weight",
		"limits.io_weight", "limits.tasks")
	l := w.Limits
	var swap spec.ByteSize
	if l.Swap != nil {
		swap = *l.Swap
	}
	for _, limit := range []struct {
		key   string
		value any
		set   bool
	}{
		{"MemoryMax", int64(l.Memory), l.Memory > 0},
		{"MemoryHigh", int64(l.MemoryHigh), l.MemoryHigh > 0},
		{"MemorySwapMax", int64(swap), l.Swap != nil},
		// systemd reads two decimals, and no quota of zero.
		{"CPUQuota", fmt.Sprintf("%.2f%%", max(0.01, l.CPUs*100)), l.CPUs > 0},
		{"CPUWeight", l.CPUWeight, l.CPUWeight > 0},
		{"IOWeight", l.IOWeight, l.IOWeight > 0},
		{"TasksMax", l.Tasks, l.Tasks > 0},
	} {
		if limit.set {
			w.set(limit.key, limit.value)
		}
	}
}

package spawn

import (
	"slices"
	"strings"
)

// marks are variables by which a manager speaks to one process. Passed on, they
// make a grandchild speak to a manager that does not mean it, or believe that it is
// something it is not. A trailing "*" stands for any rest of the name.
var marks = []string{
	// systemd.exec(5), sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
	"LISTEN_FDNAMES", "FDSTORE", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MAINPID",
	"MANAGERPID", "MANAGERPIDFDID", "CREDENTIALS_DIRECTORY", "MEMORY_PRESSURE_WATCH",
	"MEMORY_PRESSURE_WRITE",
	// supervisord, runit's and other Go libraries' own
	"SUPERVISOR_*", "_GO_DAEMON", "__DAEMON_*", "TABLEFLIP_HAS_PARENT_*", "OVERSEER_*", "EINHORN_*",
	"UPSTART_*", "PM2_*", "pm_id",
}

// IsMark says whether the variable name is such a mark.
func IsMark(name string) bool {
	return slices.ContainsFunc(marks, func(m string) bool {
		prefix, ok := strings.CutSuffix(m, "*")
		return ok && strings.HasPrefix(name, prefix) || m == name
	})
}

// WithoutMarks returns env without its marks.
func WithoutMarks(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return IsMark(name)
	})
}

// Marks returns those of env.
func Marks(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !IsMark(name)
	})
}

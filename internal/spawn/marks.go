package spawn

import "strings"

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
	for _, m := range marks {
		prefix, ok := strings.CutSuffix(m, "*")
		if ok && strings.HasPrefix(name, prefix) || m == name {
			return true
		}
	}
	return false
}

// WithoutMarks returns env without its marks.
func WithoutMarks(env []string) []string {
	clean := make([]string, 0, len(env))
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); !IsMark(name) {
			clean = append(clean, kv)
		}
	}
	return clean
}

// Package spec says what a service is: its fields, their defaults and their validation.
//
// A [Service] is the one description that everything else shares. Readers turn
// files into it, the supervisor executes it, writers turn it into the units of
// other managers. Its JSON names are the keys of daemonry.toml, the names of
// the command line options (with "-" for "_") and the names in the API.
//
// The package does no I/O: nothing here opens a file, looks up a user or reads
// the environment, so a description can be checked on another machine than the
// one it is for.
//
// A field whose default is not its zero value is a pointer or a text, so that
// every zero that is legal can be asked for (umask 0, no delay). Nil and ""
// mean the default; after [Service.WithDefaults] none of them is left.
package spec

// Service describes one service: a program, how it is born, how one sees that
// it lives, and what happens when it does not.
//
// The zero value with a Name and a Command is a useful service. The change tag
// says what a running service needs when the field changes; see [Effect].
type Service struct {
	// Name of the service: letters, digits, "-", "_", ".", "@", at most 64 of
	// them, not beginning with "-" or ".". In a file it is the table's name.
	Name string `json:"name" change:"none"`
	// Description in one line, for people.
	Description string `json:"description,omitzero" change:"none"`
	// Labels are the user's own; writers may give some a meaning.
	Labels map[string]string `json:"labels,omitzero" change:"none"`

	// Command is the program and its arguments. A program without a slash is
	// searched in the service's PATH; one with a slash is relative to Chdir.
	Command Command `json:"command" change:"restart"`
	// Type is "daemon" (runs until stopped; the default) or "oneshot" (runs to
	// its end, and is up when it succeeded).
	Type Type `json:"type,omitzero" change:"restart"`
	// Remain keeps a oneshot that succeeded up until it is stopped, and those
	// that require it satisfied.
	Remain bool `json:"remain,omitzero" change:"live"`
	// Instances above 0 makes that many services NAME@1 … NAME@N of this one.
	// The number replaces "{instance}" in texts (see [Service.Expand]), the
	// number plus 8080 "{instance+8080}", and it is in the environment as
	// INSTANCE. 0 is one service without a number.
	Instances int `json:"instances,omitzero" change:"none"`
	// Instance is the number of this instance. Expand sets it, not people.
	Instance int `json:"instance,omitzero" change:"restart"`

	Process
	Supervision

	// Ready says how the service shows that it came up. Default settled.
	Ready Probe `json:"ready,omitzero" change:"live"`
	// Timeout is the time allowed until ready. Default 30s; "forever" waits.
	Timeout *Duration `json:"timeout,omitzero" change:"live"`
	// Liveness asks a ready service at intervals whether it still works.
	Liveness Liveness `json:"liveness,omitzero" change:"live"`
	// Watchdog restarts a service that sent no WATCHDOG=1 for this long. Zero:
	// off. The service finds it in WATCHDOG_USEC (sd_watchdog_enabled(3)).
	Watchdog Duration `json:"watchdog,omitzero" change:"restart"`
	// NotifyAccess says whose sd_notify messages count: "none", "main" (the
	// default), "exec" (also those of our own helper commands) or "all".
	NotifyAccess NotifyAccess `json:"notify_access,omitzero" change:"live"`

	// After orders: if both are started, this one waits until those are ready
	// or failed. Stops go in reverse.
	After []string `json:"after,omitzero" change:"live"`
	// Requires starts those too, in order, and does not start without them.
	Requires []string `json:"requires,omitzero" change:"live"`
	// Wants starts those too, in order, and starts even if they failed.
	Wants []string `json:"wants,omitzero" change:"live"`
	// Autostart starts the service with "up" and at boot. Default true; false
	// waits for "start" or for a service that requires or wants it.
	Autostart *bool `json:"autostart,omitzero" change:"none"`
	// Schedule runs the service at times, as crontab(5) writes them. It is for
	// writers whose target has timers: the supervisor has none, and refuses it.
	Schedule Schedule `json:"schedule,omitzero" change:"none"`

	// Log says where the output goes and how it is kept.
	Log Log `json:"log,omitzero" change:"live"`

	// Sockets are opened by the supervisor, kept over restarts and handed over
	// as LISTEN_FDS in this order (sd_listen_fds(3)).
	Sockets []Socket `json:"sockets,omitzero" change:"restart"`
	// Overlap says that two processes of the service may run side by side for a while, although the
	// supervisor owns none of its sockets: it has none, or shares their addresses itself
	// (SO_REUSEPORT). "restart --rolling" needs this or Sockets.
	Overlap bool `json:"overlap,omitzero" change:"live"`
	// OnDemand starts the service at the first connection to one of Sockets.
	OnDemand bool `json:"on_demand,omitzero" change:"live"`
	// IdleStop stops an on-demand service that had no connection for this
	// long. Zero: never.
	IdleStop Duration `json:"idle_stop,omitzero" change:"live"`
	// FDStore is how many descriptors the service may leave with the
	// supervisor over a restart (FDSTORE=1). Default 0: none.
	FDStore int `json:"fdstore,omitzero" change:"restart"`
	// Orphan says what happens when the supervisor dies: "live" (the default;
	// the next supervisor takes the service over) or "end": the kernel sends
	// the main process its stop signal (PR_SET_PDEATHSIG, Linux).
	Orphan Orphan `json:"orphan,omitzero" change:"restart"`

	// Limits bound the whole service, its descendants included (cgroup v2).
	Limits Limits `json:"limits,omitzero" change:"live"`
	// Sandbox is for managers that can build one; see [Sandbox]. The supervisor
	// builds none, and refuses it.
	Sandbox Sandbox `json:"sandbox,omitzero" change:"none"`
}

// Process describes how the program is born. Every field is an option of
// "daemonry detach" as well.
type Process struct {
	// User is "USER" or "USER:GROUP", by name or number. Empty: who starts it.
	// Without a group it is the user's own, with all groups they are in.
	User string `json:"user,omitzero" change:"restart"`
	// Groups are supplementary groups in place of those User is in.
	Groups []string `json:"groups,omitzero" change:"restart"`
	// Chroot is the directory that becomes "/" for the program.
	Chroot string `json:"chroot,omitzero" change:"restart"`
	// Chdir is the working directory, inside Chroot if there is one. Default:
	// the directory of the file the service is in; "/" without a file.
	Chdir string `json:"chdir,omitzero" change:"restart"`
	// Umask is the file mode creation mask, octal. Default "0022".
	Umask *Mode `json:"umask,omitzero" change:"restart"`
	// Env adds variables to the environment.
	Env map[string]string `json:"env,omitzero" change:"restart"`
	// EnvFile are files of NAME=VALUE lines, read at each start, before Env
	// (see [ParseEnv]), each opened with User's rights, or with root's if nobody else
	// could have put it there. A leading "-" tolerates that the file is missing.
	EnvFile []string `json:"env_file,omitzero" change:"restart"`
	// ClearEnv starts from an empty environment but for PassEnv and PATH.
	ClearEnv bool `json:"clear_env,omitzero" change:"restart"`
	// PassEnv are the variables that ClearEnv leaves.
	PassEnv []string `json:"pass_env,omitzero" change:"restart"`
	// Stdin is "null" (the default), "inherit" or a path, opened like an EnvFile.
	Stdin Stream `json:"stdin,omitzero" change:"restart"`
	// Stdout is "log" (the default), "null", "inherit", PATH (appends) or
	// "truncate:PATH".
	Stdout Stream `json:"stdout,omitzero" change:"restart"`
	// Stderr is as Stdout, or "stdout" for the same descriptor.
	Stderr Stream `json:"stderr,omitzero" change:"restart"`
	// Pidfile is written and locked for the life of the process. It is for
	// daemons without a supervisor, which refuses it: its status has the pid.
	Pidfile string `json:"pidfile,omitzero" change:"restart"`
	// Lockfile is locked before the start, without a pid in it. It is for
	// daemons without a supervisor, where the name of the service is the lock.
	Lockfile string `json:"lockfile,omitzero" change:"restart"`
	// Cgroup is the directory of a control group (cgroups(7), version 2), which must
	// be there, to run in. The supervisor makes a group for each start below it. Default:
	// its own group.
	Cgroup string `json:"cgroup,omitzero" change:"restart"`
	// Rlimit are resource limits by name, "SOFT[:HARD]" (setrlimit(2)).
	Rlimit map[RlimitName]Rlimit `json:"rlimit,omitzero" change:"restart"`
	// Nice is -20 (most favourable) to 19. Default: inherited.
	Nice *int `json:"nice,omitzero" change:"restart"`
	// OOMScore is -1000 (never killed) to 1000, for /proc/PID/oom_score_adj.
	// Default: inherited.
	OOMScore *int `json:"oom_score,omitzero" change:"restart"`
	// NoNewPrivs forbids gaining privileges by execve (PR_SET_NO_NEW_PRIVS).
	NoNewPrivs bool `json:"no_new_privs,omitzero" change:"restart"`
	// Cap are the only capabilities the program gets, also as an ordinary
	// user (ambient; the bounding set is cut to them). Absent: unchanged;
	// empty: none.
	Cap []string `json:"cap,omitzero" change:"restart"`
}

// Supervision describes what happens when the process ends, and how it is
// ended and reloaded.
type Supervision struct {
	// Restart is "no", "on-failure" or "always". Default "on-failure"; "no"
	// for a oneshot.
	Restart Restart `json:"restart,omitzero" change:"live"`
	// Success are exit codes and signals that are no failure, besides 0 and
	// the signals of Stop when it was us who stopped it.
	Success ExitSet `json:"success,omitzero" change:"live"`
	// Backoff is the delay between restarts.
	Backoff Backoff `json:"backoff,omitzero" change:"live"`
	// Budget ends a storm of restarts.
	Budget Budget `json:"budget,omitzero" change:"live"`

	// Stop is one signal or several with waits, "INT/5s/TERM/10s". Whatever is
	// left after it gets KILL. Default "TERM".
	Stop StopSchedule `json:"stop,omitzero" change:"live"`
	// StopCommand is run before the first signal, which follows as soon as it
	// has ended; MAINPID is in its environment. It and Stop share no time: it
	// has StopTimeout of its own, and so has a service after it that has said
	// STOPPING=1. Whatever only begins the end must wait for it, or be Stop.
	StopCommand Command `json:"stop_command,omitzero" change:"live"`
	// StopTimeout is the wait after a signal of Stop that names none. Default
	// 10s.
	StopTimeout *Duration `json:"stop_timeout,omitzero" change:"live"`
	// StopTo says who gets the signals of Stop: "main" (the default; what it
	// leaves behind gets them when it has ended) or "all" processes of the
	// service.
	StopTo StopTo `json:"stop_to,omitzero" change:"live"`
	// Reload is the signal for "daemonry reload". Default: none.
	Reload Signal `json:"reload,omitzero" change:"live"`
	// ReloadCommand is run for "daemonry reload", in place of a signal;
	// MAINPID is in its environment.
	ReloadCommand Command `json:"reload_command,omitzero" change:"live"`
}

// Backoff is the delay before each restart but the first one after a healthy
// run: First, then Factor times more each time, up to Cap.
type Backoff struct {
	// First delay. Default 100ms; "0s" restarts at once, always.
	First *Duration `json:"first,omitzero"`
	// Factor of growth, at least 1. Default 2.
	Factor *float64 `json:"factor,omitzero"`
	// Cap of the delay. Default 30s.
	Cap *Duration `json:"cap,omitzero"`
	// Jitter is the part of the delay that is random, 0 to 1. Default 0.2:
	// between 80 % and 100 % of it, so services that fell together do not rise
	// together.
	Jitter *float64 `json:"jitter,omitzero"`
}

// Budget is the number of restarts allowed in a sliding window, crashes after
// readiness included. When it is spent the service is failed.
type Budget struct {
	// Restarts in Window. Default 10; 0 allows none, -1 any number.
	Restarts *int `json:"restarts,omitzero"`
	// Window of time that slides. Default 5m. A run as long as this is
	// healthy: the restart after it is at once.
	Window *Duration `json:"window,omitzero"`
	// Retry starts a failed service once more every so often, for ever. Zero:
	// failed stays failed.
	Retry Duration `json:"retry,omitzero"`
}

// Liveness is a probe of a service that is ready. When it fails Threshold
// times in a row the service is stopped and counts as crashed.
type Liveness struct {
	// Check is one of the probes tcp, unix, http, cmd and file. Empty: off.
	Check Probe `json:"check,omitzero"`
	// Interval between checks. Default 10s.
	Interval *Duration `json:"interval,omitzero"`
	// Timeout of one check. Default 5s.
	Timeout *Duration `json:"timeout,omitzero"`
	// Threshold of failures in a row. Default 3.
	Threshold *int `json:"threshold,omitzero"`
	// Grace after readiness in which nothing is checked.
	Grace Duration `json:"grace,omitzero"`
}

// Limits bound a service as a whole, by cgroup v2. A service whose limits cannot
// be set does not start, for a limit ignored is a promise broken.
// MemoryRestart needs no cgroup.
type Limits struct {
	// Memory that cannot be exceeded: the kernel kills (memory.max).
	Memory ByteSize `json:"memory,omitzero"`
	// MemoryHigh slows the service down and reclaims (memory.high).
	MemoryHigh ByteSize `json:"memory_high,omitzero"`
	// MemoryRestart restarts the service in good order when all its processes together use more. It
	// is looked at every second while the service is ready.
	MemoryRestart ByteSize `json:"memory_restart,omitzero"`
	// Swap it may use (memory.swap.max). Default: no limit.
	Swap *ByteSize `json:"swap,omitzero"`
	// CPUs is the processor time it may use: 1.5 is one and a half (cpu.max).
	CPUs float64 `json:"cpus,omitzero"`
	// CPUWeight is its share under contention, 1 to 10000 (cpu.weight).
	CPUWeight int `json:"cpu_weight,omitzero"`
	// IOWeight is its share of the disks, 1 to 10000 (io.weight, or io.bfq.weight).
	IOWeight int `json:"io_weight,omitzero"`
	// Tasks is the number of threads and processes (pids.max).
	Tasks int `json:"tasks,omitzero"`
}

// Log says where output goes. Without Timestamp, Stream and Format the bytes
// in the file are the bytes written.
type Log struct {
	// Targets are "file" (the default), "journald", "syslog",
	// "syslog:unix:PATH", "syslog:udp:HOST:PORT", "syslog:tcp:HOST:PORT",
	// "syslog:tls:HOST:PORT", "stdout" (of the supervisor), "pipe:COMMAND",
	// or "none" alone.
	Targets []LogTarget `json:"targets,omitzero"`
	// File for the output. Default NAME.log in the log directory.
	File string `json:"file,omitzero"`
	// ErrorFile puts standard error apart. Empty: joined, in order.
	ErrorFile string `json:"error_file,omitzero"`
	// Mode of the files. Default "0640".
	Mode *Mode `json:"mode,omitzero"`
	// RotateSize begins a new file at this size. Default 10MiB; "0B" never.
	RotateSize *ByteSize `json:"rotate_size,omitzero"`
	// RotateAge begins a new file at this age. Zero: never.
	RotateAge Duration `json:"rotate_age,omitzero"`
	// Keep this many old files. Default 5; 0 keeps none.
	Keep *int `json:"keep,omitzero"`
	// KeepAge removes old files older than this. Zero: no limit.
	KeepAge Duration `json:"keep_age,omitzero"`
	// Compress old files: "none" (the default), "gzip" or "zstd".
	Compress Compress `json:"compress,omitzero"`
	// Timestamp before each line, RFC 3339 with microseconds: "none" (the
	// default), "utc" or "local".
	Timestamp Timestamp `json:"timestamp,omitzero"`
	// Stream marks each line with "out" or "err".
	Stream bool `json:"stream,omitzero"`
	// Format is "raw" (the default) or "json", one object a line.
	Format LogFormat `json:"format,omitzero"`
	// Facility for syslog. Default "daemon".
	Facility string `json:"facility,omitzero"`
	// Block makes the service wait when a target cannot take more; otherwise
	// Buffer is kept and what exceeds it is dropped, counted and told.
	Block bool `json:"block,omitzero"`
	// MaxWait is how long the service may have to wait, without Block, when the
	// file cannot be written. Default 100ms.
	MaxWait Duration `json:"max_wait,omitzero"`
	// Buffer for what a target cannot take. Default 1MiB.
	Buffer *ByteSize `json:"buffer,omitzero"`
	// RateLimit of lines, "1000/1s". Empty: none. What it drops is told.
	RateLimit Rate `json:"rate_limit,omitzero"`
	// Mask are regular expressions (RE2); what matches becomes "***" before it
	// reaches any target.
	Mask []string `json:"mask,omitzero"`
}

// Socket is one listening socket or FIFO that the supervisor owns. Instances
// of a service share it unless "{instance}" or "{instance+N}" is in its address.
type Socket struct {
	// Name in LISTEN_FDNAMES. Default: the name of the service.
	Name string `json:"name,omitzero"`
	// Listen is "tcp:HOST:PORT", "udp:HOST:PORT", "unix:PATH",
	// "unixgram:PATH", "unixpacket:PATH" or "fifo:PATH". An empty HOST is all
	// addresses; a PATH may begin with "@" for an abstract socket.
	Listen Address `json:"listen"`
	// Owner is "USER[:GROUP]" of the file at PATH. Default: the service's.
	Owner string `json:"owner,omitzero"`
	// Mode of the file at PATH. Default "0600".
	Mode *Mode `json:"mode,omitzero"`
	// Backlog of connections not yet accepted. Default 4096 (the kernel cuts
	// it to net.core.somaxconn).
	Backlog int `json:"backlog,omitzero"`
	// V6Only keeps an IPv6 socket from taking IPv4. Default: the system's.
	V6Only *bool `json:"v6only,omitzero"`
	// ReusePort sets SO_REUSEPORT.
	ReusePort bool `json:"reuseport,omitzero"`
	// Nonblocking hands it over with O_NONBLOCK, for a program that waits with
	// poll and does not set that itself, as nginx.
	Nonblocking bool `json:"nonblocking,omitzero"`
}

// Sandbox asks for isolation by a manager that can build it (systemd). Only
// writers use it: the supervisor builds no sandbox.
type Sandbox struct {
	// Level is "default" (what an ordinary daemon does not notice), "off" or
	// "strict" (all there is; the service must be made for it).
	Level SandboxLevel `json:"level,omitzero"`
	// PrivateTmp gives it a /tmp of its own. Default: as Level says.
	PrivateTmp *bool `json:"private_tmp,omitzero"`
	// PrivateDevices gives it a /dev without hardware. Default: as Level says.
	PrivateDevices *bool `json:"private_devices,omitzero"`
	// PrivateNetwork leaves it only the loopback interface. Default: as Level
	// says.
	PrivateNetwork *bool `json:"private_network,omitzero"`
	// ProtectSystem makes the system's directories read-only: "no", "yes",
	// "full" or "strict" (systemd.exec(5)). Default: as Level says.
	ProtectSystem ProtectSystem `json:"protect_system,omitzero"`
	// ProtectHome keeps it from home directories: "no", "yes", "read-only" or
	// "tmpfs" (systemd.exec(5)). Default: as Level says.
	ProtectHome ProtectHome `json:"protect_home,omitzero"`
	// MemoryDenyWriteExecute forbids memory that is writable and executable,
	// which just-in-time compilers need. Default: as Level says.
	MemoryDenyWriteExecute *bool `json:"memory_deny_write_execute,omitzero"`
	// AddressFamilies are the only ones allowed ("AF_INET").
	AddressFamilies []string `json:"address_families,omitzero"`
	// SystemCalls are the only ones allowed, also as groups ("@system-service").
	SystemCalls []string `json:"system_calls,omitzero"`
	// ReadWrite are paths it may write to, whatever ProtectSystem says.
	ReadWrite []string `json:"read_write,omitzero"`
	// ReadOnly are paths it may not write to.
	ReadOnly []string `json:"read_only,omitzero"`
	// Inaccessible are paths it does not see into.
	Inaccessible []string `json:"inaccessible,omitzero"`
}

package systemd

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// capLine writes "net_raw" as "CAP_NET_RAW".
func capLine(names []string) string {
	capital := func(name string) string { return "CAP_" + strings.ToUpper(name) }
	return strings.Join(writers.Each(names, capital), " ")
}

// sandbox writes the isolation. What needs a mount namespace is for system
// units alone: the manager of a user has no right to make one.
func (w *writer) sandbox() {
	w.Use("cap", "no_new_privs", "sandbox.level")
	level := w.Sandbox.Level
	w.capabilities(level)
	// Most switches below imply it for who is not root; said once for all.
	if w.NoNewPrivs || level != spec.SandboxOff {
		w.set("NoNewPrivileges", "yes")
	}
	if w.opts.User {
		w.noMounts()
	} else {
		w.mounts()
	}
	strict := level == spec.SandboxStrict
	if level != spec.SandboxOff {
		for _, key := range []string{
			"RestrictRealtime", "RestrictSUIDSGID", "RestrictNamespaces", "LockPersonality",
		} {
			w.set(key, "yes")
		}
		w.set("SystemCallArchitectures", "native")
	}
	w.Use("sandbox.memory_deny_write_execute", "sandbox.address_families", "sandbox.system_calls")
	w.choose("MemoryDenyWriteExecute", w.Sandbox.MemoryDenyWriteExecute, strict)
	families := w.Sandbox.AddressFamilies
	if families == nil && level != spec.SandboxOff {
		families = []string{"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
	}
	if len(families) > 0 {
		w.words("RestrictAddressFamilies", families...)
	}
	calls := w.Sandbox.SystemCalls
	if calls == nil && strict {
		calls = []string{"@system-service"}
	}
	switch {
	case len(calls) > 0:
		w.words("SystemCallFilter", calls...)
	case calls == nil && level != spec.SandboxOff:
		w.set("SystemCallFilter", "~"+strings.Join(foreignCalls, " "))
		// A program that tries one goes on with an error, as without privileges.
		w.set("SystemCallErrorNumber", "EPERM")
	}
}

// foreignCalls are groups of system calls that administer a machine, or that
// only debuggers and the programs of other systems make. "@mount" is not one of
// them, for chroot is in it, which daemons do.
var foreignCalls = []string{"@clock", "@cpu-emulation", "@debug", "@module", "@obsolete", "@raw-io",
	"@reboot", "@swap"}

// foreignCaps are capabilities of root that no daemon uses: those that belong
// to the calls above, and to what the other switches shut.
var foreignCaps = []string{
	"block_suspend", "linux_immutable", "mac_admin", "mac_override", "mknod", "sys_boot",
	"sys_module", "sys_pacct", "sys_rawio", "sys_time", "sys_tty_config", "syslog", "wake_alarm",
}

// capabilities bounds what root means in the service. The manager of a user has
// none that it could give, nor the right to take any from its children
// (CAP_SETPCAP, capabilities(7)).
func (w *writer) capabilities(level spec.SandboxLevel) {
	user, _ := w.UserGroup()
	switch {
	case w.opts.User && w.Cap != nil:
		w.Note("cap", "left out: the manager of a user can neither give capabilities nor take them")
	case w.opts.User:
	case w.Cap != nil:
		w.set("CapabilityBoundingSet", capLine(w.Cap))
		w.set("AmbientCapabilities", capLine(w.Cap))
	case level == spec.SandboxStrict, level == spec.SandboxDefault && user != "" &&
		user != "root" && user != "0":
		// Who is not root has none, and NoNewPrivileges= keeps it so.
		w.set("CapabilityBoundingSet", "")
	case level == spec.SandboxDefault && !w.mentions(deviceDirs):
		w.set("CapabilityBoundingSet", "~"+capLine(foreignCaps))
	}
}

// choose writes a switch that is on, be it said or by the level.
func (w *writer) choose(key string, said *bool, byLevel bool) {
	if said != nil {
		byLevel = *said
	}
	if byLevel || said != nil {
		w.flag(key, byLevel)
	}
}

// mounts writes what changes the service's view of the file system and of the
// machine.
func (w *writer) mounts() {
	s := w.Sandbox
	w.Use("sandbox.private_tmp", "sandbox.private_devices", "sandbox.private_network",
		"sandbox.protect_system",
		"sandbox.protect_home", "sandbox.read_write", "sandbox.read_only", "sandbox.inaccessible")
	on, strict := s.Level != spec.SandboxOff, s.Level == spec.SandboxStrict
	w.choose("PrivateTmp", s.PrivateTmp, strict || on && !w.mentions(tmpDirs))
	w.choose("PrivateDevices", s.PrivateDevices, strict || on && !w.mentions(deviceDirs))
	w.choose("PrivateNetwork", s.PrivateNetwork, strict)
	system, home := s.ProtectSystem, s.ProtectHome
	switch {
	case strict:
		system = cmp.Or(system, spec.ProtectSystemStrict)
		home = cmp.Or(home, spec.ProtectHomeYes)
	case on:
		system = cmp.Or(system, spec.ProtectSystemFull)
		if !w.mentions(homeDirs) {
			home = cmp.Or(home, spec.ProtectHomeReadOnly)
		}
	}
	if system != "" {
		w.set("ProtectSystem", system)
	}
	if home != "" {
		w.set("ProtectHome", home)
	}
	if on {
		for _, key := range []string{
			"ProtectControlGroups", "ProtectKernelTunables", "ProtectKernelModules",
			"ProtectKernelLogs", "ProtectClock", "ProtectHostname", "PrivateMounts",
		} {
			w.set(key, "yes")
		}
	}
	if strict {
		w.set("ProtectProc", "invisible")
		w.set("ProcSubset", "pid")
		w.set("RemoveIPC", "yes")
		if len(w.Cap) == 0 { // capabilities would hold in the new namespace alone
			w.set("PrivateUsers", "yes")
		}
	}
	for _, list := range []struct {
		key   string
		paths []string
	}{{"ReadWritePaths", s.ReadWrite}, {"ReadOnlyPaths", s.ReadOnly}, {"InaccessiblePaths",
		s.Inaccessible}} {
		if len(list.paths) > 0 {
			w.words(list.key, list.paths...)
		}
	}
}

// noMounts tells what a user's manager cannot do.
func (w *writer) noMounts() {
	for _, field := range []string{
		"private_tmp", "private_devices", "private_network", "protect_system", "protect_home",
		"read_write", "read_only", "inaccessible",
	} {
		w.NoteIf(w.Says("sandbox."+field),
			"sandbox."+field, "left out: the manager of a user cannot make it")
	}
}

// What a service would notice to be shut if it names it in any of its texts; by
// default it must not.
var (
	tmpDirs     = []string{"/tmp", "/var/tmp"}
	homeDirs    = []string{"/home", "/root", "/run/user"}
	deviceDirs  = []string{"/dev"}
	sameDevices = strings.NewReplacer("/dev/null", "", "/dev/zero", "", "/dev/random", "",
		"/dev/urandom", "",
		"/dev/shm", "", "/dev/log", "", "/dev/stdin", "", "/dev/stdout", "", "/dev/stderr", "",
		"/dev/fd", "")
)

// mentions tells whether a text of the service has one of the directories, or
// something in them, as a path of its own. Devices that are in every /dev do
// not count.
func (w *writer) mentions(dirs []string) bool {
	s := w.Service
	s.Description, s.Labels, s.Sandbox, s.Log = "", nil, spec.Sandbox{}, spec.Log{}
	data, err := json.Marshal(s)
	if err != nil {
		return true
	}
	text := sameDevices.Replace(string(data))
	for _, dir := range dirs {
		for from := 0; ; {
			at := strings.Index(text[from:], dir)
			if at < 0 {
				break
			}
			at += from
			from = at + len(dir)
			if !inName(text[at-1]) && !inName(text[from]) { // JSON has braces around
				return true
			}
		}
	}
	return false
}

func inName(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' ||
		strings.IndexByte("._-", c) >= 0
}

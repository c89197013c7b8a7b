package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (s *Service) checkProcess(p *problems) {
	p.err("user", checkUser(s.User))
	for i, group := range s.Groups {
		if group == "" || strings.ContainsAny(group, userForbidden) {
			p.add(fmt.Sprintf("groups[%d]", i), "%q is not a group", group)
		}
	}
	checkPath(p, "chroot", s.Chroot)
	checkPath(p, "chdir", s.Chdir)
	checkPath(p, "pidfile", s.Pidfile)
	checkPath(p, "lockfile", s.Lockfile)
	p.when(s.Pidfile != "" && s.Pidfile == s.Lockfile,
		"lockfile", "the pidfile is locked already", "is the same as pidfile")
	checkPath(p, "cgroup", s.Cgroup)
	checkRange(p, "umask", int(*s.Umask), 0, 0o777)
	s.checkStreams(p)
	for _, name := range sortedKeys(s.Rlimit) {
		limit := s.Rlimit[name]
		if again, err := ParseRlimitName(string(name)); err != nil || again != name {
			p.hint("rlimit", "one of "+joinTexts(RlimitNames()), "%q is not a resource limit", name)
		}
		if limit.Soft > limit.Hard {
			p.add("rlimit."+string(name), "soft limit %s is above hard limit %s",
				limitText(limit.Soft), limitText(limit.Hard))
		}
	}
	checkRange(p, "nice", valueOf(s.Nice), -20, 19)
	checkRange(p, "oom_score", valueOf(s.OOMScore), -1000, 1000)
	for i, name := range s.Cap {
		if !slices.Contains(capabilities, name) {
			p.hint(fmt.Sprintf("cap[%d]", i), capHint(name), "%q is not a capability", name)
		}
	}
}

// Bytes that are in no name of a user: they separate (":") or would be misread
// by a tool (passwd(5)).
const userForbidden = ":/ \t\r\n\x00,"

// checkUser wants "", "USER" or "USER:GROUP".
func checkUser(text string) error {
	user, group, hasGroup := strings.Cut(text, ":")
	if text == "" {
		return nil
	}
	if user == "" || strings.ContainsAny(user, userForbidden) ||
		strings.ContainsAny(group, userForbidden) || hasGroup && group == "" {
		return hintf("write USER or USER:GROUP", "%q is not a user", text)
	}
	return nil
}

// checkPath wants an absolute path, or none. Root writes there; a path that
// depends on where somebody stood is how files of others are overwritten.
func checkPath(p *problems, field, name string) {
	switch {
	case name == "":
	case strings.ContainsRune(name, 0):
		p.add(field, "path contains a NUL")
	case !isClean(name):
		p.hint(field, "write an absolute path without ..", "path %q is relative", name)
	}
}

func (s *Service) checkStreams(p *problems) {
	for _, stream := range []struct {
		field  string
		value  Stream
		denied []StreamKind
	}{
		{"stdin", s.Stdin, []StreamKind{StreamLog, StreamStdout, StreamTruncate}},
		{"stdout", s.Stdout, []StreamKind{StreamStdout}},
		{"stderr", s.Stderr, nil},
	} {
		switch stream.value.Kind {
		case StreamPath, StreamTruncate:
			p.when(stream.value.Path == "", stream.field, "", "needs a path")
			checkPath(p, stream.field, stream.value.Path)
		case StreamNull, StreamInherit, StreamLog, StreamStdout:
		default:
			p.add(stream.field, "%q is not a stream", stream.value.Kind)
		}
		p.when(slices.Contains(stream.denied, stream.value.Kind),
			stream.field, "", "cannot be %q", stream.value.Kind)
	}
}

func (s *Service) checkEnv(p *problems) {
	for _, name := range sortedKeys(s.Env) {
		p.when(name == "" || strings.ContainsAny(name, "=\x00\n"),
			"env", "", "%q is not the name of a variable", name)
		p.when(strings.ContainsRune(s.Env[name], 0), "env."+name, "", "value contains a NUL")
	}
	for i, file := range s.EnvFile {
		checkPath(p, fmt.Sprintf("env_file[%d]", i), strings.TrimPrefix(file, "-"))
		if file == "" || file == "-" {
			p.add(fmt.Sprintf("env_file[%d]", i), "path is empty")
		}
	}
	for i, name := range s.PassEnv {
		p.err(fmt.Sprintf("pass_env[%d]", i), checkEnvName(name))
	}
	p.when(len(s.PassEnv) > 0 && !s.ClearEnv,
		"pass_env", "set clear_env, or leave it out", "has no effect where nothing is cleared")
}

func (s *Service) checkSockets(p *problems) {
	reuse := map[Address]bool{} // whether all sockets at the address so far share it
	for i, socket := range s.Sockets {
		field := fmt.Sprintf("sockets[%d].", i)
		p.err(field+"listen", socket.Listen.check())
		checkPath(p, field+"listen", socket.Listen.Path())
		// sd_listen_fds_with_names(3): at most 255 ASCII characters, no ":".
		p.when(len(socket.Name) > 255 || !isName(socket.Name, "-_.@"),
			field+"name", "letters, digits, - _ . @", "%q is not the name of a socket", socket.Name)
		shared, taken := reuse[socket.Listen]
		p.when(taken && !(shared && socket.ReusePort),
			field+"listen", "", "%s is there twice", socket.Listen)
		reuse[socket.Listen] = socket.ReusePort && (shared || !taken)
		p.err(field+"owner", checkUser(socket.Owner))
		checkRange(p, field+"mode", int(*socket.Mode), 0, 0o777)
		checkRange(p, field+"backlog", socket.Backlog, 1, 1<<20)
		tcp := socket.Listen.Network == NetTCP
		if !tcp && socket.Listen.Network != NetUDP && (socket.V6Only != nil || socket.ReusePort) {
			p.add(field+"listen", "%s has neither v6only nor reuseport", socket.Listen.Network)
		}
	}
	p.when(s.OnDemand && len(s.Sockets) == 0,
		"on_demand", "add one under sockets", "there is no socket to wait on")
	s.checkAnswers(p)
	s.checkIdle(p)
}

func (b Sandbox) check(p *problems) {
	checkEnum(p, "sandbox.level", b.Level)
	checkEnum(p, "sandbox.protect_system", b.ProtectSystem)
	checkEnum(p, "sandbox.protect_home", b.ProtectHome)
	for i, family := range b.AddressFamilies {
		if !strings.HasPrefix(family, "AF_") || !isName(family, "_") {
			p.hint(fmt.Sprintf("sandbox.address_families[%d]", i),
				"write AF_INET, AF_INET6, AF_UNIX, …", "%q is not an address family", family)
		}
	}
	for i, call := range b.SystemCalls {
		if name := strings.TrimPrefix(call, "@"); name == "" || !isName(name, "_-") {
			p.add(fmt.Sprintf("sandbox.system_calls[%d]", i), "%q is not a system call", call)
		}
	}
	for _, list := range []struct {
		field string
		paths []string
	}{{"read_write", b.ReadWrite}, {"read_only", b.ReadOnly}, {"inaccessible", b.Inaccessible}} {
		for i, name := range list.paths {
			field := fmt.Sprintf("sandbox.%s[%d]", list.field, i)
			checkPath(p, field, name)
			p.when(name == "", field, "", "path is empty")
		}
	}
}

// capabilities are those of capabilities(7) in the order of their numbers, so
// that the index is the number.
var capabilities = []string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
	"ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
	"sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
	"lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
	"wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
}

// CapabilityNumber returns the kernel's number of a capability, by its name in
// lower case without "CAP_".
func CapabilityNumber(name string) (int, bool) {
	n := slices.Index(capabilities, name)
	return n, n >= 0
}

func capHint(name string) string {
	short := strings.TrimPrefix(strings.ToLower(name), "cap_")
	if slices.Contains(capabilities, short) {
		return fmt.Sprintf("write %q", short)
	}
	return "see capabilities(7); lower case, without CAP_"
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

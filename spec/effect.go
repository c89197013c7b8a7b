package spec

import "fmt"

// WithoutEffect returns the fields of s that nothing looks at because another one is as it is. It
// judges s as somebody wrote it, so it is to be asked before [Service.WithDefaults]; a value that
// several services have from a common place is no mistake in each.
func (s Service) WithoutEffect() Problems {
	p := &problems{service: s.Name}
	s.idleProbes(p)
	s.idleLog(p)
	for i, socket := range s.Sockets {
		field := fmt.Sprintf("sockets[%d].", i)
		if socket.Listen.Path() == "" {
			const why = "has no effect: the address is no path"
			p.when(socket.Owner != "", field+"owner", "", why)
			p.when(socket.Mode != nil, field+"mode", "", why)
		}
		switch socket.Listen.Network {
		case NetUDP, NetUnixgram, NetFIFO:
			p.when(socket.Backlog != 0, field+"backlog", "",
				"has no effect: nobody connects to %s", socket.Listen.Network)
		}
	}
	return p.list
}

func (s *Service) idleProbes(p *problems) {
	if s.Type == Oneshot {
		p.when(s.Ready.Kind == ProbeSettle, "ready", "leave it out",
			"has no effect: a oneshot is up when it has ended well")
	}
	l := s.Liveness
	if l.Check != (Probe{}) {
		return
	}
	const hint, why = "set liveness.check", "has no effect: there is no check"
	p.when(l.Interval != nil, "liveness.interval", hint, why)
	p.when(l.Timeout != nil, "liveness.timeout", hint, why)
	p.when(l.Threshold != nil, "liveness.threshold", hint, why)
	p.when(l.Grace != 0, "liveness.grace", hint, why)
}

func (s *Service) idleLog(p *problems) {
	l := s.Log
	file, syslog := len(l.Targets) == 0, false
	for _, t := range l.Targets {
		file, syslog = file || t.Kind == TargetFile, syslog || t.Kind == TargetSyslog
	}
	p.when(l.Facility != "" && !syslog, "log.facility", `add "syslog" to log.targets`,
		"has no effect: nothing goes to syslog")
	p.when(l.MaxWait != 0 && l.Block, "log.max_wait", "leave one out",
		"has no effect: block waits as long as it takes")
	if file {
		return
	}
	const hint, why = `add "file" to log.targets`, "has no effect: nothing goes into a file"
	p.when(l.File != "", "log.file", hint, why)
	p.when(l.ErrorFile != "", "log.error_file", hint, why)
	p.when(l.Mode != nil, "log.mode", hint, why)
	p.when(l.RotateSize != nil, "log.rotate_size", hint, why)
	p.when(l.RotateAge != 0, "log.rotate_age", hint, why)
	p.when(l.Keep != nil, "log.keep", hint, why)
	p.when(l.KeepAge != 0, "log.keep_age", hint, why)
	p.when(l.Compress != "", "log.compress", hint, why)
}

// when adds a problem if it is one.
func (p *problems) when(is bool, field, hint, format string, args ...any) {
	if is {
		p.hint(field, hint, format, args...)
	}
}

package spec

// checkAnswers refuses probes that prove nothing: a socket of the supervisor's takes connections
// before the service runs, and goes on when it hangs.
func (s *Service) checkAnswers(p *problems) {
	for _, probe := range []struct {
		field string
		Probe
		hint string
	}{
		{"ready", s.Ready, "use notify, fd:N, http:URL or settled"},
		{"liveness.check", s.Liveness.Check, "use http:URL or cmd:COMMAND, or set watchdog"},
	} {
		for i, socket := range s.Sockets {
			if socket.Listen.answers(probe.Probe) {
				p.hint(probe.field, probe.hint,
					"connecting to sockets[%d] proves nothing: the supervisor holds it open", i)
			}
		}
	}
}

// answers says whether a connection that a probe makes ends in the socket at a.
func (a Address) answers(probe Probe) bool {
	switch {
	case probe.Kind == ProbeUnix && (a.Network == NetUnix || a.Network == NetUnixpacket):
		return a.Addr == probe.Target
	case probe.Kind != ProbeTCP || a.Network != NetTCP:
		return false
	}
	host, port, err := splitHostPort(a.Addr)
	askedHost, askedPort, askedErr := splitHostPort(probe.Target)
	if err != nil || askedErr != nil || port != askedPort {
		return false
	}
	return host == askedHost || isLocal(host) && isLocal(askedHost)
}

// isLocal says whether a host is one of the names for this machine that need no look-up.
func isLocal(host string) bool {
	switch host {
	case "", "0.0.0.0", "::", "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

// checkIdle refuses to stop a service for being idle where nobody can see whether it is.
func (s *Service) checkIdle(p *problems) {
	checkNotNegative(p, "idle_stop", s.IdleStop)
	if s.IdleStop <= 0 {
		return
	}
	p.when(!s.OnDemand,
		"idle_stop", "set on_demand", "a service that stops when idle must start on demand")
	for i, socket := range s.Sockets {
		switch socket.Listen.Network {
		case NetUDP, NetUnixgram, NetFIFO:
			p.hint("idle_stop", "have the service exit by itself",
				"sockets[%d] has no connections to count", i)
		}
	}
}

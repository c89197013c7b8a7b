package native

import (
	"net/netip"
	"path"
	"path/filepath"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// Supervisor is the [supervisor] table: what concerns no single service.
type Supervisor struct {
	// Group may use the control socket, besides root and the owner.
	Group string `json:"group,omitzero"`
	// Listen is a further control address, "tcp:HOST:PORT". It needs TokenFile
	// or TLSClientCA, and TLS unless HOST is a loopback address.
	Listen spec.Address `json:"listen,omitzero"`
	// TokenFile holds the token that clients of Listen must show.
	TokenFile string `json:"token_file,omitzero"`
	// TLSCert is a PEM file with the certificate of Listen.
	TLSCert string `json:"tls_cert,omitzero"`
	// TLSKey is a PEM file with its key.
	TLSKey string `json:"tls_key,omitzero"`
	// TLSClientCA is a PEM file; clients of Listen must show a certificate
	// that it signed.
	TLSClientCA string `json:"tls_client_ca,omitzero"`
	// Metrics serves /metrics on the control addresses.
	Metrics bool `json:"metrics,omitzero"`
	// LogBudget bounds the size of all logs together. Zero: no bound.
	LogBudget spec.ByteSize `json:"log_budget,omitzero"`
	// Cgroup is the directory of a control group (cgroups(7), version 2) below
	// which each service gets one of its own, or "off". Default: the
	// supervisor's own, where that can be written to.
	Cgroup string `json:"cgroup,omitzero"`
}

func (l *loader) takeSupervisor(n *node, dir string) {
	n.own("supervisor")
	if l.supervisor != nil {
		l.errs.add(n.at, "", "[supervisor] is already at %s", l.supervisor.at)
		return
	}
	l.supervisor = n
	before := len(l.errs)
	s := &l.settings
	n.decodeAs(l.decoder(), "", s)
	for _, path := range []*string{&s.TokenFile, &s.TLSCert, &s.TLSKey, &s.TLSClientCA} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	if len(l.errs) == before {
		s.check(l, n)
	}
}

// check refuses an address that is open to whoever can reach it.
func (s *Supervisor) check(l *loader, n *node) {
	fail := func(field, hint, message string) {
		at, _ := n.find(field)
		l.errs.add(at.at, hint, "supervisor: %s: %s", field, message)
	}
	if s.Cgroup != "" && s.Cgroup != "off" && !path.IsAbs(s.Cgroup) {
		fail("cgroup", "write /sys/fs/cgroup/NAME", "neither \"off\" nor an absolute path")
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		fail("tls_cert", "", "tls_cert and tls_key need each other")
	}
	if s.TLSClientCA != "" && s.TLSCert == "" {
		fail("tls_client_ca", "", "needs tls_cert and tls_key")
	}
	if s.Listen == (spec.Address{}) {
		return
	}
	switch {
	case s.Listen.Network != spec.NetTCP:
		fail("listen", "write tcp:HOST:PORT", "only TCP, for there is a Unix socket already")
	case s.TokenFile == "" && s.TLSClientCA == "":
		fail("listen", "set token_file or tls_client_ca", "anybody could give orders")
	case s.TLSCert == "" && !isLoopback(s.Listen):
		fail("listen", "set tls_cert and tls_key, or listen on 127.0.0.1",
			"the token would cross the network in the clear")
	}
}

func isLoopback(a spec.Address) bool {
	if host, _, ok := strings.Cut(a.Addr, ":"); ok && host == "localhost" {
		return true
	}
	ap, err := netip.ParseAddrPort(a.Addr)
	return err == nil && ap.Addr().IsLoopback()
}

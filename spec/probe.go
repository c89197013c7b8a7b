package spec

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ProbeKind is one way to see that a service is ready or alive.
type ProbeKind string

const (
	ProbeExec    ProbeKind = "exec"    // the image was executed, nothing more
	ProbeSettled ProbeKind = "settled" // come to rest, for Probe.Settle
	ProbeSettle  ProbeKind = "settle"  // still alive after Probe.Settle
	ProbeNotify  ProbeKind = "notify"  // READY=1 by sd_notify(3)
	ProbeFD      ProbeKind = "fd"      // a newline on descriptor Probe.FD (s6)
	ProbeTCP     ProbeKind = "tcp"     // a connection to Probe.Target, "HOST:PORT"
	ProbeUnix    ProbeKind = "unix"    // a connection to the socket at Probe.Target
	ProbeHTTP    ProbeKind = "http"    // a 2xx answer from the URL Probe.Target
	ProbeCmd     ProbeKind = "cmd"     // exit status 0 of Probe.Argv
	ProbeLog     ProbeKind = "log"     // a line of output that matches Probe.Target (RE2)
	ProbeFile    ProbeKind = "file"    // the path Probe.Target exists
)

// livenessKinds are the probes that can be asked again and again.
var livenessKinds = []ProbeKind{ProbeTCP, ProbeUnix, ProbeHTTP, ProbeCmd, ProbeFile}

// Probe is one way to see that a service is ready or alive, with its argument:
//
//	settled  settled:D  exec  settle:D  notify  fd:N  tcp:HOST:PORT  unix:PATH
//	http:URL  http://…  https://…  cmd:COMMAND  log:REGEXP  file:PATH
type Probe struct {
	Kind   ProbeKind
	Settle Duration // of settle; of settled, where 0 means DefaultSettled
	FD     int      // of fd
	Target string   // of tcp, unix, http, cmd, log and file
}

// ParseProbe reads the text form.
func ParseProbe(text string) (Probe, error) {
	kind, arg, hasArg := strings.Cut(text, ":")
	p := Probe{Kind: ProbeKind(kind)}
	var err error
	switch p.Kind {
	case ProbeExec, ProbeNotify:
		if hasArg {
			return Probe{}, hintf("", "probe %q takes nothing after %q", text, kind)
		}
		return p, nil
	case ProbeSettled:
		if !hasArg {
			return p, nil
		}
		if p.Settle, err = ParseDuration(arg); err == nil && p.Settle == 0 {
			err = hintf("use exec", "a program cannot be at rest for %s", p.Settle)
		}
	case ProbeSettle:
		p.Settle, err = ParseDuration(arg)
	case ProbeFD:
		if p.FD, err = strconv.Atoi(arg); err != nil {
			err = hintf("write fd:3", "%q is not a descriptor number", arg)
		}
	case "https":
		p.Kind, p.Target = ProbeHTTP, text
	case ProbeHTTP:
		p.Target = arg
		if strings.HasPrefix(arg, "//") {
			p.Target = text
		}
	case ProbeCmd:
		var words []string
		if words, err = Split(arg); err == nil {
			p.Target = Command(words).String()
		}
	default:
		p.Target = arg
	}
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return Probe{}, err
	}
	return p, nil
}

// check reports what ParseProbe would not have let through.
func (p Probe) check() error {
	switch p.Kind {
	case ProbeExec, ProbeNotify:
		return nil
	case ProbeSettle, ProbeSettled:
		if p.Settle < 0 || p.Settle == Forever {
			return hintf("", "cannot settle for %s", p.Settle)
		}
	case ProbeFD:
		if p.FD < 3 || p.FD > 1023 {
			return hintf("0, 1 and 2 are taken; use 3 to 1023", "descriptor %d cannot tell readiness", p.FD)
		}
	case ProbeTCP:
		return checkHostPort(p.Target)
	case ProbeHTTP:
		return checkURL(p.Target)
	case ProbeLog:
		if _, err := regexp.Compile(p.Target); err != nil {
			return hintf("", "%s", err)
		}
		return checkTarget(p)
	case ProbeCmd, ProbeUnix, ProbeFile:
		return checkTarget(p)
	default:
		return hintf("settled, exec, settle:D, notify, fd:N, tcp:HOST:PORT, unix:PATH, http:URL, cmd:COMMAND, log:REGEXP or file:PATH",
			"%q is not a probe", p.Kind)
	}
	return nil
}

func checkTarget(p Probe) error {
	if p.Target == "" {
		return hintf("", "probe %s: needs something after %q", p.Kind, string(p.Kind)+":")
	}
	return nil
}

func checkURL(text string) error {
	u, err := url.Parse(anyInstance(text))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return hintf("write http://HOST:PORT/PATH", "%q is not an http or https URL", text)
	}
	if u.Port() != "" {
		return checkPort(u.Port())
	}
	return nil
}

// splitHostPort splits "HOST:PORT" and "[HOST]:PORT". [net.SplitHostPort]
// would do, but brings the resolver and, with cgo, the C library.
func splitHostPort(text string) (host, port string, err error) {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return "", "", hintf("write HOST:PORT", "%q has no port", text)
	}
	host, port = text[:colon], text[colon+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok {
			return "", "", hintf("write [HOST]:PORT", "%q is not an address", text)
		}
	} else if strings.Contains(host, ":") {
		return "", "", hintf("write ["+host+"]:"+port, "an IPv6 address needs brackets")
	}
	if strings.ContainsAny(host, "[] /") {
		return "", "", hintf("write HOST:PORT", "%q is not an address", text)
	}
	return host, port, nil
}

// checkHostPort wants a host and a port, by number or by name.
func checkHostPort(text string) error {
	host, port, err := splitHostPort(anyInstance(text))
	if err != nil {
		return err
	}
	if host == "" {
		return hintf("write localhost:"+port, "address %q has no host", text)
	}
	return checkPort(port)
}

// checkPort accepts 1 to 65535 and what could be a name of /etc/services.
func checkPort(port string) error {
	n, err := strconv.Atoi(port)
	isNumber := strings.Trim(port, "0123456789") == ""
	if err == nil && isNumber && n >= 1 && n <= 65535 || !isNumber && isName(port, "-") {
		return nil
	}
	return hintf("a port is 1 to 65535", "%q is not a port", port)
}

// anyInstance puts the first number in place of the mark, which is not a legal part of
// an address by itself. That of the last is checked by [Service.checkLast].
func anyInstance(text string) string { return withInstance(text, 1) }

// isName tells whether text consists of letters, digits and the bytes of more.
func isName(text, more string) bool {
	for _, c := range []byte(text) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}

// Argv returns the program and arguments of a cmd probe, nil for any other.
func (p Probe) Argv() Command {
	if p.Kind != ProbeCmd {
		return nil
	}
	words, err := Split(p.Target)
	if err != nil {
		return nil
	}
	return words
}

// String returns what ParseProbe reads back; "" for no probe.
func (p Probe) String() string {
	switch p.Kind {
	case "", ProbeExec, ProbeNotify:
		return string(p.Kind)
	case ProbeSettled:
		if p.Settle == 0 {
			return "settled"
		}
		return "settled:" + p.Settle.String()
	case ProbeSettle:
		return "settle:" + p.Settle.String()
	case ProbeFD:
		return "fd:" + strconv.Itoa(p.FD)
	case ProbeHTTP:
		return p.Target
	}
	return string(p.Kind) + ":" + p.Target
}

// MarshalText returns [Probe.String].
func (p Probe) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParseProbe.
func (p *Probe) UnmarshalText(text []byte) error { return parseInto(p, text, ParseProbe) }

// isLiveness tells whether the probe can be asked again and again.
func (p Probe) isLiveness() bool { return slices.Contains(livenessKinds, p.Kind) }

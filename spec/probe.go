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
	ProbeSettled ProbeKind = "settled" // it has come to rest, for 250ms or for D
	ProbeExec    ProbeKind = "exec"    // its image was executed, nothing more
	ProbeSettle  ProbeKind = "settle"  // it is still alive after D
	ProbeNotify  ProbeKind = "notify"  // it said READY=1, by sd_notify(3)
	ProbeFD      ProbeKind = "fd"      // it wrote a newline to its descriptor N, as under s6
	ProbeTCP     ProbeKind = "tcp"     // it takes a connection to HOST:PORT
	ProbeUnix    ProbeKind = "unix"    // it takes a connection to the socket PATH
	ProbeHTTP    ProbeKind = "http"    // it answers a GET of URL with 2xx
	ProbeCmd     ProbeKind = "cmd"     // COMMAND exits with 0
	ProbeLog     ProbeKind = "log"     // it printed a line that matches REGEXP (RE2)
	ProbeFile    ProbeKind = "file"    // PATH has appeared since the start, or was written anew
)

// probeForm is how a kind of probe is written.
type probeForm struct {
	kind  ProbeKind
	arg   string // stands for what follows the colon, one of the words below; "" for nothing
	alone bool   // it may be left out, with the colon
	again bool   // it can be asked again and again, as liveness must
}

// The words for what follows the colon.
const (
	argDuration = "D"
	argFD       = "N"
	argAddress  = "HOST:PORT"
	argPath     = "PATH"
	argURL      = "URL"
	argCommand  = "COMMAND"
	argRegexp   = "REGEXP"
)

// probeForms has every kind, in the order in which they are told.
var probeForms = []probeForm{
	{kind: ProbeSettled, arg: argDuration, alone: true},
	{kind: ProbeExec},
	{kind: ProbeSettle, arg: argDuration},
	{kind: ProbeNotify},
	{kind: ProbeFD, arg: argFD},
	{kind: ProbeTCP, arg: argAddress, again: true},
	{kind: ProbeUnix, arg: argPath, again: true},
	{kind: ProbeHTTP, arg: argURL, again: true},
	{kind: ProbeCmd, arg: argCommand, again: true},
	{kind: ProbeLog, arg: argRegexp},
	{kind: ProbeFile, arg: argPath, again: true},
}

// ProbeForms returns the texts that [ParseProbe] reads, with words in capitals for what is to be
// filled in.
func ProbeForms() []string {
	var forms []string
	for _, f := range probeForms {
		forms = append(forms, f.String())
		if f.alone {
			forms = append(forms, string(f.kind)+":"+f.arg)
		}
	}
	return forms
}

// String is the shortest text, without its argument.
func (f probeForm) String() string {
	if f.arg == "" || f.alone {
		return string(f.kind)
	}
	return string(f.kind) + ":" + f.arg
}

// form returns how the probe's kind is written, the zero value for no kind of ours.
func (p Probe) form() probeForm {
	i := slices.IndexFunc(probeForms, func(f probeForm) bool { return f.kind == p.Kind })
	if i < 0 {
		return probeForm{}
	}
	return probeForms[i]
}

// Probe is one way to see that a service is ready or alive, with its argument. Its text is one of
// [ProbeForms], or a URL alone.
type Probe struct {
	Kind   ProbeKind
	Settle Duration // of settle; of settled, where 0 means DefaultSettled
	FD     int      // of fd
	Target string   // of tcp, unix, http, cmd, log and file
}

// ParseProbe reads the text form.
func ParseProbe(text string) (Probe, error) {
	kind, arg, hasArg := strings.Cut(text, ":")
	if kind == "https" {
		kind, arg = string(ProbeHTTP), text
	}
	p := Probe{Kind: ProbeKind(kind)}
	form := p.form()
	var err error
	switch {
	case form.arg == "" && form.kind != "" && hasArg:
		err = hintf("", "probe %q takes nothing after %q", text, kind)
	case form.arg != "" && (hasArg || !form.alone):
		err = p.take(form.arg, arg)
	}
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return Probe{}, err
	}
	return p, nil
}

// take reads what follows the colon.
func (p *Probe) take(word, arg string) (err error) {
	switch word {
	case argDuration:
		p.Settle, err = ParseDuration(arg)
		if err == nil && p.Settle == 0 && p.Kind == ProbeSettled {
			err = hintf("use exec", "a program cannot be at rest for %s", p.Settle)
		}
	case argFD:
		if p.FD, err = strconv.Atoi(arg); err != nil {
			err = hintf("write fd:3", "%q is not a descriptor number", arg)
		}
	case argURL:
		if p.Target = arg; strings.HasPrefix(arg, "//") {
			p.Target = "http:" + arg
		}
	case argCommand:
		var words []string
		if words, err = Split(arg); err == nil {
			p.Target = Command(words).String()
		}
	default:
		p.Target = arg
	}
	return err
}

// check reports what ParseProbe would not have let through.
func (p Probe) check() error {
	form := p.form()
	if form.kind == "" {
		var forms []string
		for _, f := range probeForms {
			forms = append(forms, f.String())
		}
		return hintf(oneOf(forms), "%q is not a probe", p.Kind)
	}
	switch form.arg {
	case argDuration:
		if p.Settle < 0 || p.Settle == Forever {
			return hintf("", "cannot settle for %s", p.Settle)
		}
	case argFD:
		if p.FD < 3 || p.FD > 1023 {
			return hintf("0, 1 and 2 are taken; use 3 to 1023",
				"descriptor %d cannot tell readiness", p.FD)
		}
	case argAddress:
		return checkHostPort(p.Target)
	case argURL:
		return checkURL(p.Target)
	case argRegexp:
		if _, err := regexp.Compile(p.Target); err != nil {
			return hintf("", "%s", err)
		}
		return checkTarget(p)
	case argCommand, argPath:
		return checkTarget(p)
	}
	return nil
}

// oneOf says "a, b or c".
func oneOf(list []string) string {
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// checkLiveness reports a probe that cannot be asked again and again.
func (p Probe) checkLiveness() error {
	if p.form().again {
		return nil
	}
	var kinds []string
	for _, f := range probeForms {
		if f.again {
			kinds = append(kinds, string(f.kind))
		}
	}
	return hintf("use "+oneOf(kinds), "probe %s cannot be asked again", p.Kind)
}

// path points to the path that the probe looks at, nil if there is none. The name of an abstract
// socket is no path.
func (p *Probe) path() *string {
	if p.form().arg != argPath || p.Kind == ProbeUnix && strings.HasPrefix(p.Target, "@") {
		return nil
	}
	return &p.Target
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
	return !strings.ContainsFunc(text, func(c rune) bool {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		return !letter && (c < '0' || c > '9') && !strings.ContainsRune(more, c)
	})
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
	switch form := p.form(); {
	case form.arg == "", form.alone && p.Settle == 0:
		return string(p.Kind)
	case form.arg == argDuration:
		return string(p.Kind) + ":" + p.Settle.String()
	case form.arg == argFD:
		return string(p.Kind) + ":" + strconv.Itoa(p.FD)
	case form.arg == argURL:
		return p.Target
	}
	return string(p.Kind) + ":" + p.Target
}

// MarshalText returns [Probe.String].
func (p Probe) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParseProbe.
func (p *Probe) UnmarshalText(text []byte) error { return parseInto(p, text, ParseProbe) }

package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers"
	"github.com/daemonry/daemonry/spec"
)

// socketUnit is what a .socket unit says (systemd.socket(5)). Its options hold
// for all its addresses.
type socketUnit struct {
	file      string
	of        string // the service that it is for
	listen    []spec.Address
	options   spec.Socket
	user      string
	userGroup string
	installed bool
}

// socketReader fills a socketUnit from the entries of a unit.
type socketReader struct {
	reader // for notes and errors, and what they share
	socketUnit
}

func (r *socketReader) socketKeys() map[string]setter {
	return map[string]setter{
		"Socket.ListenStream":           r.listenKey(spec.NetTCP, spec.NetUnix),
		"Socket.ListenDatagram":         r.listenKey(spec.NetUDP, spec.NetUnixgram),
		"Socket.ListenSequentialPacket": r.listenKey("", spec.NetUnixpacket),
		"Socket.ListenFIFO":             r.listenKey("", spec.NetFIFO),
		"Socket.FileDescriptorName": func(_ *reader, e entry) {
			r.options.Name = cmp.Or(e.value, r.unit.full+".socket")
		},
		"Socket.SocketUser":   text(&r.user),
		"Socket.SocketGroup":  text(&r.userGroup),
		"Socket.Service":      r.socketService,
		"Socket.BindIPv6Only": r.bindV6Only,
		"Socket.SocketMode":   mode(&r.options.Mode),
		"Socket.Backlog": func(_ *reader, e entry) {
			// systemd's own default is 4294967295, which the kernel cuts as it does ours.
			n, err := strconv.ParseUint(e.value, 10, 32)
			r.bad(e, err)
			r.options.Backlog = int(min(n, 1<<20))
		},
		"Socket.ReusePort": boolean(&r.options.ReusePort),
		"Socket.Accept": func(_ *reader, e entry) {
			if on, err := parseBool(e.value); err != nil || on {
				r.bad(e, err)
				r.note(e,
					"a process for each connection cannot be expressed: the service gets the "+
						"listening socket")
			}
		},
	}
}

// listenKey takes an address: a number is a port, what begins with "/" or "@" a
// path.
func (r *socketReader) listenKey(inet, local spec.Network) setter {
	return func(_ *reader, e entry) {
		a := spec.Address{Network: inet, Addr: e.value}
		_, notPort := strconv.ParseUint(e.value, 10, 16)
		switch {
		case e.value == "":
			r.listen = nil
			return
		case e.value[0] == '/' || e.value[0] == '@':
			a.Network = local
		case strings.HasPrefix(e.value, "vsock:") || inet == "":
			r.note(e, "%s cannot be expressed", e.value)
			return
		case notPort == nil:
			a.Addr = ":" + e.value
		}
		parsed, err := spec.ParseAddress(a.String())
		r.bad(e, err)
		r.listen = append(r.listen, parsed)
	}
}

func (r *socketReader) socketService(_ *reader, e entry) {
	name, ok := strings.CutSuffix(e.value, ".service")
	if !ok {
		r.bad(e, fmt.Errorf("%q is no service unit", e.value))
	}
	r.of = name
}

func (r *socketReader) bindV6Only(_ *reader, e entry) {
	switch e.value {
	case "default":
		r.options.V6Only = nil
	case "both", "ipv6-only":
		r.options.V6Only = new(e.value == "ipv6-only")
	default:
		r.bad(e, fmt.Errorf("%q is none of default, both and ipv6-only", e.value))
	}
}

// parseSocket reads a .socket unit and its drop-ins.
func parseSocket(all []source) (socketUnit, []Note, error) {
	path := all[0].path
	name := strings.TrimSuffix(filepath.Base(path), ".socket")
	r := &socketReader{reader: reader{path: path, unit: newUnitName(name)}}
	r.socketUnit = socketUnit{
		file:    path,
		of:      name,
		options: spec.Socket{Name: name + ".socket", Mode: new(spec.Mode(0o666))},
	}
	r.keys = r.socketKeys()
	for _, one := range all {
		entries, err := parseLines(one.path, one.text)
		if err != nil {
			return socketUnit{}, nil, err
		}
		for _, e := range entries {
			r.socketEntry(e)
		}
	}
	r.installed = r.isWanted()
	if len(r.listen) == 0 {
		r.errs = append(r.errs, readers.Errorf(path, 1, "there is no address to listen on"))
	}
	switch {
	case r.user != "" && r.userGroup != "":
		r.user += ":" + r.userGroup
	case r.userGroup != "":
		r.user = "root:" + r.userGroup
	}
	return r.socketUnit, r.notes, errors.Join(r.errs...)
}

func (r *socketReader) socketEntry(e entry) {
	key := e.name()
	if e.section == "Install" {
		r.install(e)
		return
	}
	if _, ok := silent[key]; ok || strings.HasPrefix(e.section, "X-") || key == "Unit.Description" {
		return
	}
	set := r.keys[key]
	if set == nil {
		// Those among them that order against targets say nothing about a service.
		if e.section != "Unit" ||
			!slices.Contains([]string{"After", "Before", "Wants", "PartOf"}, e.key) {
			if e.value != "" {
				r.note(e, "cannot be expressed")
			}
		}
		return
	}
	r.take(set, e)
}

// attach gives a service the sockets of a unit. One that is started by its
// socket alone is started on demand here too.
func (u socketUnit) attach(s *spec.Service) {
	for _, address := range u.listen {
		socket := u.options
		socket.Listen = address
		switch {
		case address.Path() == "":
			socket.Mode = nil
		case u.user != "":
			socket.Owner = u.user
		case s.User != "": // the default here would be the service's user
			socket.Owner = "root"
		}
		if address.Network != spec.NetTCP && address.Network != spec.NetUDP {
			socket.V6Only, socket.ReusePort = nil, false
		}
		s.Sockets = append(s.Sockets, socket)
	}
	if u.installed && s.Autostart != nil && !*s.Autostart {
		s.Autostart, s.OnDemand = nil, true
	}
}

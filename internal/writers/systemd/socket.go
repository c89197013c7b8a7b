package systemd

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// socketUnits writes the units of a service's sockets and returns them with
// their names. A unit has one set of options and one name for its descriptors,
// so neighbours that agree share a unit. Instances of a service share the units
// of sockets whose address does not tell them apart.
func socketUnits(a *writers.Account) ([]writers.File, []string, error) {
	a.Use("sockets.name", "sockets.listen", "sockets.owner", "sockets.mode", "sockets.backlog",
		"sockets.v6only", "sockets.reuseport")
	var groups [][]spec.Socket
	var shared []bool
	for i, s := range a.Sockets {
		if i > 0 && alike(a.Sockets[i-1], s) && a.Shared(i-1) == a.Shared(i) {
			groups[len(groups)-1] = append(groups[len(groups)-1], s)
			continue
		}
		groups, shared = append(groups, []spec.Socket{s}), append(shared, a.Shared(i))
	}
	if len(groups) > 1 {
		a.Note("sockets.listen",
			"the descriptors come from %d units, in no promised order: go by their names",
			len(groups))
	}
	var files []writers.File
	var names []string
	for i, group := range groups {
		base, service := a.Name, a.Name
		if shared[i] {
			base, service = a.BaseName(), a.BaseName()+"@1"
			a.NoteIf(a.OnDemand, "on_demand", "a connection starts the first instance alone")
		}
		name := base + ".socket"
		if i > 0 {
			name = fmt.Sprintf("%s-%d.socket", base, i+1)
		}
		content, err := socketUnit(a, service, group)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, writers.File{Path: name, Mode: 0o644, Content: content})
		names = append(names, name)
	}
	return files, names, nil
}

// alike tells whether two sockets differ in nothing but the address.
func alike(x, y spec.Socket) bool {
	x.Listen, y.Listen = spec.Address{}, spec.Address{}
	return reflect.DeepEqual(x, y)
}

func socketUnit(a *writers.Account, service string, group []spec.Socket) ([]byte, error) {
	var u unit
	s := group[0]
	u.section("Unit")
	u.set("Description", "Sockets of "+service)
	u.section("Socket")
	hasPath := false
	for _, one := range group {
		key, value, err := listen(one.Listen)
		if err != nil {
			return nil, err
		}
		u.raw(key, value)
		hasPath = hasPath || one.Listen.Path() != ""
	}
	u.set("Service", service+".service")
	u.raw("FileDescriptorName", s.Name)
	if hasPath {
		u.set("SocketMode", *s.Mode)
		user, group, _ := strings.Cut(cmp.Or(s.Owner, a.User), ":")
		if user != "" {
			u.raw("SocketUser", user)
		}
		if group != "" {
			u.raw("SocketGroup", group)
		}
	}
	u.set("Backlog", s.Backlog)
	if s.V6Only != nil {
		u.set("BindIPv6Only", map[bool]string{true: "ipv6-only", false: "both"}[*s.V6Only])
	}
	if s.ReusePort {
		u.set("ReusePort", "yes")
	}
	if *a.Autostart {
		u.section("Install")
		u.set("WantedBy", "sockets.target")
	}
	return u.bytes()
}

// listen writes an address. systemd resolves no names; localhost is the one
// that has an address everywhere.
func listen(a spec.Address) (key, value string, err error) {
	switch a.Network {
	case spec.NetUnix:
		return "ListenStream", a.Addr, nil
	case spec.NetUnixgram:
		return "ListenDatagram", a.Addr, nil
	case spec.NetUnixpacket:
		return "ListenSequentialPacket", a.Addr, nil
	case spec.NetFIFO:
		return "ListenFIFO", a.Addr, nil
	case spec.NetUDP:
		key = "ListenDatagram"
	default:
		key = "ListenStream"
	}
	at := strings.LastIndexByte(a.Addr, ':')
	host, port := strings.Trim(a.Addr[:at], "[]"), a.Addr[at+1:]
	switch host {
	case "":
		return key, port, nil
	case "localhost":
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	n, numErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numErr != nil {
		return "", "", fmt.Errorf("sockets: systemd resolves no names: write the address of %q",
			a.Addr)
	}
	return key, netip.AddrPortFrom(ip, uint16(n)).String(), nil
}

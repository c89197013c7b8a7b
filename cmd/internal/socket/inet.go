package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// lookupLimit is how long the name of a host may take to become an address.
const lookupLimit = 10 * time.Second

// openInet opens a TCP or UDP socket. Without a host it is for all addresses: of IPv6 and, unless
// V6Only forbids it, of IPv4; of IPv4 where the system has no IPv6.
func openInet(ctx context.Context, s spec.Socket) (int, error) {
	host, port, err := splitPort(s.Listen.Addr)
	if err != nil {
		return -1, err
	}
	if host != "" {
		addr, err := resolve(ctx, host)
		if err != nil {
			return -1, err
		}
		return bindInet(s, netip.AddrPortFrom(addr, port))
	}
	if s.V6Only == nil {
		s.V6Only = new(false) // whatever the system's default is, all means all
	}
	fd, err := bindInet(s, netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	// No IPv6 in the kernel, or switched off (disable_ipv6).
	if !*s.V6Only &&
		(errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		s.V6Only = nil
		return bindInet(s, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
	return fd, err
}

func splitPort(hostPort string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(hostPort)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: %w", text, err)
	}
	return host, uint16(n), nil
}

// resolve turns a host into one address: the first of IPv4 if it has any, as package net does.
func resolve(ctx context.Context, host string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return numberZone(addr.Unmap())
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, addr := range list {
		if addr.Unmap().Is4() {
			return addr.Unmap(), nil
		}
	}
	return list[0], nil
}

// numberZone turns the name of an interface in an address into its number.
func numberZone(addr netip.Addr) (netip.Addr, error) {
	zone := addr.Zone()
	if _, err := strconv.ParseUint(zone, 10, 32); zone == "" || err == nil {
		return addr, nil
	}
	iface, err := net.InterfaceByName(zone)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", zone, err)
	}
	return addr.WithZone(strconv.Itoa(iface.Index)), nil
}

func bindInet(s spec.Socket, addr netip.AddrPort) (fd int, err error) {
	domain, kind := syscall.AF_INET6, syscall.SOCK_STREAM
	if addr.Addr().Is4() {
		domain = syscall.AF_INET
	}
	if s.Listen.Network == spec.NetUDP {
		kind = syscall.SOCK_DGRAM
	}
	if fd, err = sys.OpenSocket(domain, kind); err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sys.CloseFD(fd))
		}
	}()
	if domain == syscall.AF_INET6 && s.V6Only != nil {
		if err := sys.SetV6Only(fd, *s.V6Only); err != nil {
			return -1, err
		}
	}
	if s.ReusePort {
		if err := sys.SetReusePort(fd); err != nil {
			return -1, err
		}
	}
	// Not for UDP: there it would let anybody take datagrams that are meant for us (socket(7)).
	if kind == syscall.SOCK_STREAM {
		if err := sys.SetReuseAddr(fd); err != nil {
			return -1, err
		}
	}
	return fd, bind(fd, addr)
}

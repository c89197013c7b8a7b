package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// A socket belongs to every process that holds a descriptor of it, and the
// kernel tells which those are: /proc/net names the inodes of the sockets that
// listen, /proc/PID/fd the sockets a process holds, proc(5). An answer counts if
// the listener that gave it is provably the service's:
//
//   - a process of the service is seen to hold it; or
//   - the kernel says that a process of the service called listen(2) (Unix sockets, SO_PEERCRED);
//     or
//   - it is a socket of a user, all of whose processes that we may not look into are the service's
//     (a program with file capabilities is one that its own user may not look into), and no process
//     that we may look into holds it.
//
// Everything else is a stranger's, or nobody can say whose, and is no answer: an earlier instance,
// another user's server, a proxy of a container engine. What is looked at is a snapshot: a process
// that comes or goes meanwhile is judged at the next attempt.

// A strangerError says who answered instead of the service.
type strangerError struct {
	what string // "port 8080"
	pid  int
	name string
}

func (e *strangerError) Error() string {
	return fmt.Sprintf("%s is held by pid %d (%s), which is not the daemon", e.what, e.pid, e.name)
}

// An unprovenError says that nobody can tell who answered.
type unprovenError struct{ what, why string }

func (e *unprovenError) Error() string {
	return fmt.Sprintf("%s answers, but nothing proves that it is the daemon: %s; "+
		"use cmd:, log: or notify", e.what, e.why)
}

// inodes are those of sockets; 0 is not among them.
type inodes map[uint64]bool

// listening are the sockets that would take a connection to an address, and the users that made
// them.
type listening struct {
	held inodes
	uids []int
}

func (l *listening) add(s sys.NetSocket) {
	if s.Inode != 0 {
		l.held[s.Inode] = true
		l.uids = append(l.uids, s.UID)
	}
}

// judgeTCP returns an error unless the service provably listens at remote, an address of this
// machine. If it must be alone, none of the sockets that share the port (SO_REUSEPORT) may be a
// stranger's.
func judgeTCP(remote netip.AddrPort, alone bool, env Env) error {
	what := fmt.Sprintf("port %d", remote.Port())
	l, err := listenersAt(remote)
	if err != nil {
		return &unprovenError{what, err.Error()}
	}
	if len(l.held) == 0 {
		return &unprovenError{
			what, "nothing listens there in this network namespace, so something passes it on",
		}
	}
	if !alone || len(l.held) == 1 {
		return judge(what, l, env)
	}
	for inode := range l.held {
		if err := judge(what, listening{inodes{inode: true}, l.uids}, env); err != nil {
			return err
		}
	}
	return nil
}

// listenersAt finds the sockets of which one has taken a connection to addr: those bound to this
// very address, or else those bound to any of its family, or else those of IPv6 that serve IPv4 as
// well (compute_score in net/ipv4/inet_hashtables.c).
func listenersAt(addr netip.AddrPort) (listening, error) {
	var classes [3]listening
	for i := range classes {
		classes[i].held = inodes{}
	}
	for i, table := range []string{"tcp", "tcp6"} {
		six := i == 1
		if addr.Addr().Is6() && !six {
			continue
		}
		// The table shows listening sockets before all others, so that a machine with a million
		// connections costs no more than another.
		err := sys.NetSockets(0, table, math.MaxInt64, func(s sys.NetSocket) bool {
			local := addrPort(s.Local)
			switch {
			case s.State != sys.TCPListen:
				return false
			case local.Port() != addr.Port():
			case local.Addr() == addr.Addr():
				classes[0].add(s)
			case local.Addr().IsUnspecified() && six == addr.Addr().Is6():
				classes[1].add(s)
			case local.Addr().IsUnspecified():
				classes[2].add(s)
			}
			return true
		})
		if err != nil && !(six && errors.Is(err, fs.ErrNotExist)) { // a kernel without IPv6
			return listening{}, err
		}
	}
	for _, class := range classes {
		if len(class.held) > 0 {
			return class, nil
		}
	}
	return listening{}, nil
}

func addrPort(a sys.InetAddr) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.IP) // 4 or 16 bytes
	return netip.AddrPortFrom(ip, a.Port)
}

// judgeUnix returns an error unless the service provably listens on the socket at path.
func judgeUnix(conn *net.UnixConn, path string, env Env) error {
	what := "socket " + path
	held, err := unixListeners(path)
	if err != nil {
		return &unprovenError{what, err.Error()}
	}
	// The process that called listen(2) on the other end; 0 if it is not in our pid namespace
	// (unix(7), SO_PEERCRED).
	peer, err := sys.PeerOf(conn)
	if err != nil && !errors.Is(err, syscall.ENOTCONN) { // a socket for datagrams has none
		return &unprovenError{what, err.Error()}
	}
	if pid := peer.PID; pid > 0 && alive(pid) {
		if env.Owner(pid) {
			return nil
		}
		// A stranger that called listen(2) and holds it still is the one who answers. Else it may
		// have handed the socket over, or have forked and gone: what counts then is who holds it
		// now.
		if yes, err := holds(pid, held); yes && err == nil {
			return stranger(what, pid)
		}
	}
	if len(held) == 0 {
		return &unprovenError{what, "the socket of that name is not of this network namespace"}
	}
	return judge(what, listening{held: held}, env)
}

func alive(pid int) bool {
	stat, err := sys.ReadStat(pid)
	return err == nil && !stat.Exited()
}

// unixListeners returns the inodes of the sockets at path that take connections, or datagrams. The
// table shows the name as it was bound: if nobody has bound the absolute one, a relative one that
// ends in the same name is taken, for the directory it is relative to is not known.
func unixListeners(path string) (inodes, error) {
	exact, relative := inodes{}, inodes{}
	base := filepath.Base(path)
	err := sys.NetSockets(0, "unix", math.MaxInt64, func(s sys.NetSocket) bool {
		switch name := s.Name; {
		case name == "" || s.Inode == 0 || !s.Accepts && s.Kind != syscall.SOCK_DGRAM:
		case name == path:
			exact[s.Inode] = true
		case name[0] != '/' && name[0] != '@' && path[0] != '@' && filepath.Base(name) == base:
			relative[s.Inode] = true
		}
		return true
	})
	if len(exact) > 0 {
		return exact, err
	}
	return relative, err
}

// judge returns an error unless the service provably holds one of the sockets. In most cases one
// look at the main process is enough.
func judge(what string, l listening, env Env) error {
	if env.PID > 0 {
		a := sys.NewActivity(env.PID)
		_, _ = a.Look(nil) // only to find its descendants; those it has lost are found below
		for _, pid := range append([]int{env.PID}, a.Processes()...) {
			if yes, _ := holdsOurs(pid, l.held); yes && env.Owner(pid) {
				return nil
			}
		}
	}
	processes, err := sys.PIDs()
	if err != nil {
		return &unprovenError{what, err.Error()}
	}
	other := 0
	var hidden []int // processes that may not be looked into
	for _, pid := range processes {
		yes, err := holds(pid, l.held)
		if err != nil && env.Owner(pid) {
			yes, err = holdsOurs(pid, l.held)
		}
		switch {
		case err != nil:
			hidden = append(hidden, pid)
		case yes && env.Owner(pid):
			return nil
		case yes && pid != os.Getpid() && (other == 0 || pid < other): // we hold what we hand over
			other = pid
		}
	}
	if other != 0 {
		return stranger(what, other)
	}
	return judgeHidden(what, l, hidden, env)
}

// judgeHidden is for sockets that are held by none of the processes that may be looked into.
func judgeHidden(what string, l listening, hidden []int, env Env) error {
	ours, others := 0, 0
	for _, pid := range hidden {
		ids, err := sys.ReadUserIDs(pid)
		if err != nil {
			continue // gone, or of a user that hides it from us, so not ours
		}
		if !slices.ContainsFunc(l.uids, func(uid int) bool {
			return uid == ids.Real || uid == ids.Effective || uid == ids.Saved
		}) {
			continue
		}
		if env.Owner(pid) {
			ours++
		} else {
			others++
		}
	}
	switch {
	case len(l.uids) == 0:
		return &unprovenError{what, "a process holds it that we may not look into"}
	case ours == 0:
		return &unprovenError{what, fmt.Sprintf(
			"it is a socket of user %d, whose processes we may not look into", l.uids[0],
		)}
	case others > 0:
		return &unprovenError{what,
			fmt.Sprintf("it is a socket of user %d, and more than the daemon's processes of that "+
				"user may not be looked into", l.uids[0])}
	}
	return nil
}

func stranger(what string, pid int) error {
	stat, err := sys.ReadStat(pid)
	if err != nil {
		stat.Comm = "gone by now"
	}
	return &strangerError{what, pid, strings.TrimSpace(stat.Comm)}
}

// holds tells whether a process has one of the sockets open. A process that is
// gone holds nothing.
func holds(pid int, held inodes) (yes bool, err error) {
	err = sys.EachFD(pid, func(_ int, target string) bool {
		yes = held[sys.SocketInode(target)]
		return !yes
	})
	return yes, err
}

// holdsOurs is holds for a process of the service. One that has become another user may be looked
// into as that user, also by a root without CAP_SYS_PTRACE, as in a container.
func holdsOurs(pid int, held inodes) (bool, error) {
	yes, err := holds(pid, held)
	if !errors.Is(err, fs.ErrPermission) || os.Geteuid() != 0 {
		return yes, err
	}
	status, statusErr := sys.ReadStatus(pid)
	if statusErr != nil {
		return false, err
	}
	done := make(chan struct{})
	sys.OnThread(func() {
		defer close(done)
		leave, idErr := sys.SetThreadFSUser(int(status.UID[1]), int(status.GID[1]))
		if idErr == nil {
			defer leave()
			yes, err = holds(pid, held)
		}
	})
	<-done
	return yes, err
}

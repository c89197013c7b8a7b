package sys

// OpenSocket makes a socket of a domain (syscall.AF_INET, AF_INET6, AF_UNIX) and
// kind (syscall.SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET), close-on-exec and
// non-blocking.
func OpenSocket(domain, kind int) (int, error) { return openSocket(domain, kind) }

// InetAddr is the address of an IPv4 or IPv6 socket. Package net/netip is not imported for it: Go
// initialises that one late (it needs unique and weak), all that is ready before then is
// initialised first, and so every stage of package spawn would have to wait for half of the
// program.
type InetAddr struct {
	IP   []byte // 4 or 16
	Zone uint32 // number of an interface, of IPv6 only; 0: none
	Port uint16
}

// BindInet gives an IPv4 or IPv6 socket its address.
func BindInet(fd int, addr InetAddr) error { return bindInet(fd, addr) }

// LocalInet returns the address of a bound IPv4 or IPv6 socket; EAFNOSUPPORT if it
// is of another family.
func LocalInet(fd int) (InetAddr, error) { return localInet(fd) }

// Listen makes a socket take connections, up to backlog of them before they are
// accepted (less where net.core.somaxconn is smaller). It may be called again
// with another backlog.
func Listen(fd, backlog int) error { return listen(fd, backlog) }

// SetReuseAddr lets a listener have an address of which old connections still end
// (SO_REUSEADDR, socket(7)). For datagram sockets it means another thing: that
// others may have the same address too.
func SetReuseAddr(fd int) error { return setReuseAddr(fd) }

// SetReusePort lets several sockets of one user have the same address
// (SO_REUSEPORT, Linux 3.9).
func SetReusePort(fd int) error { return setReusePort(fd) }

// SetV6Only says whether an IPv6 socket leaves IPv4 to others (IPV6_V6ONLY,
// ipv6(7)).
func SetV6Only(fd int, on bool) error { return setV6Only(fd, on) }

// Readable says whether one of the descriptors can be read from, or accepted from,
// without waiting.
func Readable(fds ...int) (bool, error) { return readable(fds) }

// SetThreadFSUser makes the calling thread look like that user where files are concerned
// (setfsuid(2)), and nowhere else: others cannot signal the process for it. The thread must be
// locked and never be given back. Until done, which is to be called when it does no more as that
// user, the process is not "dumpable" (prctl(2)): nobody but root may look into it, and it leaves
// no core dump, which could become a file of that user. Linux only.
func SetThreadFSUser(uid, gid int) (done func(), err error) { return setThreadFSUser(uid, gid) }

// NewFIFO makes a FIFO, with mode less the umask; EEXIST if there is anything of that name.
func NewFIFO(path string, mode uint32) error { return newFIFO(path, mode) }

package sys

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// NetSockets gives each the sockets of a table ("tcp", "tcp6", "udp", "unix" and so on,
// proc_pid_net(5)) of the network namespace of process pid, until it returns false. 0 is our own.
// Listening sockets of TCP come before all others. It reads no more than most bytes: the table of a
// machine with a million connections takes a second.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func NetSockets(pid int, table string, most int64, each func(NetSocket) bool) error {
	dir := "/proc/net/"
	if pid != 0 {
		dir = procDir(pid) + "/net/"
	}
	file, err := os.Open(dir + table)
	if err != nil {
		return err
	}
	defer file.Close() // read only: an error of close loses nothing
	parse := parser(parseInet)
	if table == "unix" {
		parse = parseUnix
	}
	return eachSocket(io.LimitReader(file, most), parse, each)
}

type parser func(line string) (s NetSocket, ok bool)

func eachSocket(r io.Reader, parse parser, each func(NetSocket) bool) error {
	lines := bufio.NewScanner(r)
	lines.Scan() // the heading
	for lines.Scan() {
		if s, ok := parse(lines.Text()); ok && !each(s) {
			return nil
		}
	}
	return lines.Err()
}

// parseInet reads "sl local remote state queues timer retransmit uid timeout inode …".
func parseInet(line string) (s NetSocket, ok bool) {
	field := strings.Fields(line)
	if len(field) < 10 {
		return s, false
	}
	if s.Local, ok = parseInetAddr(field[1]); !ok {
		return s, false
	}
	s.Remote, _ = parseInetAddr(field[2])
	state, err := strconv.ParseUint(field[3], 16, 8)
	s.State = SocketState(state)
	s.UID, _ = strconv.Atoi(field[7])
	s.Inode, _ = strconv.ParseUint(field[9], 10, 64)
	return s, err == nil
}

// parseInetAddr reads "0100007F:1F90": 32-bit words of network order, each printed as a number of
// this machine's byte order, and the port. What an IPv6 table shows of IPv4 is an address of IPv4.
func parseInetAddr(text string) (a InetAddr, ok bool) {
	host, port, _ := strings.Cut(text, ":")
	ip, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(ip) != 4 && len(ip) != 16 {
		return a, false
	}
	for word := range slices.Chunk(ip, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	const mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
	if strings.HasPrefix(string(ip), mapped) {
		ip = ip[len(mapped):]
	}
	return InetAddr{IP: ip, Port: uint16(n)}, true
}

// parseUnix reads "Num: RefCount Protocol Flags Type St Inode Path"; a path may contain blanks.
func parseUnix(line string) (s NetSocket, ok bool) {
	const accepts = 1 << 16 // __SO_ACCEPTCON
	var field [7]string
	for i := range field {
		field[i], line, _ = strings.Cut(strings.TrimLeft(line, " "), " ")
	}
	flags, flagsErr := strconv.ParseUint(field[3], 16, 32)
	kind, kindErr := strconv.ParseUint(field[4], 16, 16)
	state, stateErr := strconv.ParseUint(field[5], 16, 8)
	inode, inodeErr := strconv.ParseUint(field[6], 10, 64)
	s = NetSocket{
		Name: line, Kind: int(kind), Accepts: flags&accepts != 0,
		State: SocketState(state), Inode: inode,
	}
	return s, flagsErr == nil && kindErr == nil && stateErr == nil && inodeErr == nil
}

// SocketInode returns the number in what EachFD calls a socket, "socket:[4711]"; 0 for anything
// else.
func SocketInode(target string) uint64 {
	text, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0
	}
	inode, _ := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
	return inode
}

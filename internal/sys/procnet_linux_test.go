package sys

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestParseInetAddr(t *testing.T) {
	v6 := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for text, want := range map[string]InetAddr{
		"0100007F:1F90":                         {IP: []byte{127, 0, 0, 1}, Port: 8080},
		"00000000:0050":                         {IP: []byte{0, 0, 0, 0}, Port: 80},
		"00000000000000000000000001000000:0016": {IP: []byte(v6 + "\x01"), Port: 22},
		"00000000000000000000000000000000:0050": {IP: []byte(v6 + "\x00"), Port: 80},
		"0000000000000000FFFF00000100007F:1F90": {IP: []byte{127, 0, 0, 1}, Port: 8080},
	} {
		if got, ok := parseInetAddr(text); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{
		"", ":", ":0050", "0100007F", "0100007F:", "01:1", "0100007:FFFFF", "0100007F:10000",
		"0100007G:0050", "0100007F0100007F:0050",
	} {
		if got, ok := parseInetAddr(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestNetSocketTables(t *testing.T) {
	read := func(parse func(string) (NetSocket, bool), table string) (list []NetSocket) {
		t.Helper()
		err := eachSocket(strings.NewReader(table), parse, func(s NetSocket) bool {
			list = append(list, s)
			return len(list) < 3
		})
		if err != nil {
			t.Error(err)
		}
		return list
	}
	local := InetAddr{IP: []byte{127, 0, 0, 1}, Port: 8080}
	none := InetAddr{IP: []byte{0, 0, 0, 0}}
	tcp := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  " +
		"timeout inode\n" +
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     7       " +
		" 0 111 1\nrubbish\n" +
		"   1: 0100007F:1F90 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0       " +
		" 0 112 1\n" +
		"   2: 0100007F:1F90 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0       " +
		" 0 0 1\n" +
		"   3: 0100007F:1F90 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0       " +
		" 0 113 1\n"
	want := []NetSocket{
		{Local: local, Remote: none, State: TCPListen, UID: 7, Inode: 111},
		{Local: local, Remote: local, State: TCPEstablished, Inode: 112},
		{Local: local, Remote: local, State: 6},
	}
	if got := read(parseInet, tcp); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	unix := "Num       RefCount Protocol Flags    Type St Inode Path\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01   115 /run/a b  c\n" +
		"0000000000000000: 00000003 00000000 00000000 0001 03 116\n" +
		"0000000000000000: 00000002 00000000 00000000 0002 01 118 @dev/log\n"
	want = []NetSocket{
		{Name: "/run/a b  c", Kind: syscall.SOCK_STREAM, Accepts: true, State: 1, Inode: 115},
		{Kind: syscall.SOCK_STREAM, State: UnixConnected, Inode: 116},
		{Name: "@dev/log", Kind: syscall.SOCK_DGRAM, State: 1, Inode: 118},
	}
	if got := read(parseUnix, unix); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func FuzzNetSocket(f *testing.F) {
	f.Fuzz(func(t *testing.T, line string) {
		if s, ok := parseInet(line); ok && len(s.Local.IP) != 4 && len(s.Local.IP) != 16 {
			t.Errorf("%q: an address of %d bytes", line, len(s.Local.IP))
		}
		if s, ok := parseUnix(line); ok && !strings.HasSuffix(line, s.Name) {
			t.Errorf("%q: the name %q", line, s.Name)
		}
	})
}

// A socket of ours is found by what its descriptor is called, and tells what it is.
func TestNetSockets(t *testing.T) {
	dir := t.TempDir()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(dir, "a socket")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	held := map[uint64]bool{}
	err = EachFD(os.Getpid(), func(_ int, target string) bool {
		held[SocketInode(target)] = true
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	find := func(pid int, table string, is func(NetSocket) bool) (found bool) {
		t.Helper()
		err := NetSockets(pid, table, 1<<30, func(s NetSocket) bool {
			found = held[s.Inode] && s.Inode != 0 && is(s)
			return !found
		})
		if err != nil {
			t.Error(err)
		}
		return found
	}
	port := uint16(tcp.Addr().(*net.TCPAddr).Port)
	for _, pid := range []int{0, os.Getpid()} {
		if !find(pid, "tcp",
			func(s NetSocket) bool { return s.State == TCPListen && s.Local.Port == port }) {
			t.Errorf("no socket of %v in the table of %d", tcp.Addr(), pid)
		}
		if !find(pid, "unix", func(s NetSocket) bool { return s.Accepts && s.Name == path }) {
			t.Errorf("no socket of %s in the table of %d", path, pid)
		}
	}
	if err := NetSockets(0, "none", 1, nil); !os.IsNotExist(err) {
		t.Errorf("a table that there is not: %v", err)
	}
}

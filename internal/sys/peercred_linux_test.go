package sys

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPeerOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := PeerOf(server)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(groups)
	slices.Sort(p.Groups)
	if p.PID != os.Getpid() || p.UID != os.Geteuid() || p.GID != os.Getegid() || !slices.Equal(p.Groups, groups) {
		t.Errorf("peer: %+v, want ourselves with groups %v", p, groups)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := PeerOf(server); err == nil {
		t.Error("a closed socket has a peer")
	}
}

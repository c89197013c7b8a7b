package notify

import (
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

func TestParseAddress(t *testing.T) {
	for s, want := range map[string]struct {
		to    sys.Address
		kinds int
	}{
		"/run/systemd/notify":                {sys.Address{Unix: "/run/systemd/notify"}, 1},
		"@00001":                             {sys.Address{Unix: "@00001"}, 1},
		"vsock:2:1234":                       {sys.Address{CID: 2, Port: 1234}, 3},
		"vsock-dgram:2:1":                    {sys.Address{CID: 2, Port: 1}, 1},
		"vsock-seqpacket:1:0":                {sys.Address{CID: 1}, 1},
		"vsock-stream:4294967294:4294967294": {sys.Address{CID: 1<<32 - 2, Port: 1<<32 - 2}, 1},
	} {
		got, err := parseAddress(s)
		if err != nil || got.to != want.to || len(got.kinds) != want.kinds ||
			got.vsock != strings.HasPrefix(s, "vsock") {
			t.Errorf("%q: %+v %v", s, got, err)
		}
	}
	for _, s := range []string{
		"relative", "@", "./x", "/" + strings.Repeat("x", 108), "/a\x00b", "unix:/run/x", "tcp:1:2",
		"vsock", "vsock:", "vsock:1",
		"vsock:1:", "vsock::1", "vsock:-1:1", "vsock:4294967295:1", "vsock:1:4294967295",
		"vsock:1:4294967296", "vsock:1:2:3", "vsock-raw:1:2", "vsock:a:b",
	} {
		if got, err := parseAddress(s); err == nil {
			t.Errorf("%q: %+v", s, got)
		}
	}
	if a, _ := parseAddress("vsock:2:1"); a.kinds[0] != sys.SOCK_DGRAM ||
		a.kinds[2] != sys.SOCK_STREAM {
		t.Errorf("order of kinds: %v", a.kinds)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"/run/x", "@x", "vsock:1:2", "vsock-stream:4294967295:1", "vsock:1", "@", "x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return // Send asks before it parses: empty is nobody
		}
		a, err := parseAddress(s)
		if err != nil && strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("error of more than one line: %q", err)
		}
		if err == nil &&
			(a.vsock == (a.to.Unix != "") || len(a.kinds) == 0 || len(a.to.Unix) > 107) {
			t.Errorf("%q: %+v", s, a)
		}
	})
}

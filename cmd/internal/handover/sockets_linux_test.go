package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// The keys of sockets go from one program to the next: each version has to make the same.
func TestKeys(t *testing.T) {
	mode := spec.Mode(0o620)
	tcp := spec.Socket{Listen: spec.Address{Network: spec.NetTCP, Addr: "127.0.0.1:80"}}
	tcp.Name, tcp.Backlog = "http", 7
	owned := unix("/run/x")
	owned.Owner, owned.Mode = "www", &mode
	for _, c := range []struct {
		name string
		s    spec.Socket
		nth  int
		want string
	}{
		{"web", tcp, 0, `{"service":"web","socket":{"listen":"tcp:127.0.0.1:80","backlog":7}}`},
		{"web@2", tcp, 1,
			`{"service":"web","nth":1,"socket":{"listen":"tcp:127.0.0.1:80","backlog":7}}`},
		{"web", unix("/run/x"), 0,
			`{"service":"web","user":"u","socket":{"listen":"unix:/run/x"}}`},
		{"web", unix("@x"), 0, `{"service":"web","socket":{"listen":"unix:@x"}}`},
		{"web", owned, 0,
			`{"service":"web","socket":{"listen":"unix:/run/x","owner":"www","mode":"0620"}}`},
	} {
		u := service(c.name)
		u.spec.User = "u"
		if _, n, ok := strings.Cut(c.name, "@"); ok {
			fmt.Sscan(n, &u.spec.Instance)
		}
		if got := keyOf(&u.spec, c.s, c.nth); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	// Who owns a file that there is not, and with which mode, makes no difference.
	other := tcp
	other.Owner, other.Mode = "www", &mode
	if u := service("web"); keyOf(&u.spec, other, 0) != keyOf(&u.spec, tcp, 0) {
		t.Error("another key")
	}
}

// A socket is open from the first who needs it to the last, and its name is gone with it.
func TestSharedUntilTheLast(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	path := b.path("s")
	one, two := instance(1, unix(path)), instance(2, unix(path))
	b.hold(one)
	_, before := b.Sockets(one)
	two.spec.Sockets[0].Name = "other" // is no other socket
	b.hold(two)
	list, fds := b.Sockets(two)
	if !slices.Equal(fds, before) || len(list) != 1 ||
		list[0].Listen != two.spec.Sockets[0].Listen {
		t.Errorf("%v: %v, before: %v", list, fds, before)
	}
	b.hold(two) // once more changes nothing
	b.isRight(0)
	if b.Release(one); !answers(path) {
		t.Error("closed while somebody uses it")
	}
	b.isRight(0)
	h := b.held[two][0]
	b.Release(two)
	if fd := h.fd(); fd != -1 {
		t.Errorf("seems to be open as %d", fd)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its name is left: %v", err)
	}
	b.Release(two)
	b.isRight(0)
	b.hasFailed()
}

// A socket that is described anew replaces the old one at its address, of other instances too; what
// is not at one of the addresses stays.
func TestOutdated(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	path, own := b.path("s"), b.path("own")
	one, two := instance(1, unix(path)), instance(2, unix(path), unix(own))
	other := service("other", unix(b.path("other")))
	b.hold(two)
	b.hold(other)
	_, others := b.Sockets(other)
	if got := b.Outdated(two, &one.spec); len(got) != 0 {
		t.Errorf("the same are outdated: %v", got)
	}
	one.spec.Sockets[0].Backlog = 7
	if got := b.Outdated(two, &one.spec); len(got) != 1 || got[0].Addr != path {
		t.Errorf("outdated: %v", got)
	}
	b.Hold(one, &one.spec, slices.Values([]*user{one, two}))
	if err := b.Opener(one)(); err != nil {
		t.Error(err)
	}
	if list, fds := b.Sockets(two); len(list) != 1 || list[0].Listen.Addr != own || fds[0] < 0 {
		t.Errorf("the other instance has %v, %v", list, fds)
	}
	if _, fds := b.Sockets(other); !slices.Equal(fds, others) {
		t.Error("a stranger has lost a socket")
	}
	if !answers(path) || !answers(own) {
		t.Error("not open")
	}
	b.isRight(0)
	// Without a socket there is nothing to be in the way of.
	b.Hold(instance(3), &instance(3).spec, slices.Values([]*user{one, two}))
	// Two may be at one address if both want that.
	shared := instance(1, spec.Socket{Listen: one.spec.Sockets[0].Listen, ReusePort: true})
	if got := b.Outdated(one, &shared.spec); len(got) != 0 {
		t.Errorf("outdated by one that shares: %v", got)
	}
	for _, u := range []*user{one, two, other} {
		b.Release(u)
	}
	b.isRight(0)
}

// Sockets that differ in nothing are several all the same.
func TestAlike(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := spec.Socket{Listen: spec.Address{Network: spec.NetTCP, Addr: free.Addr().String()}}
	at.ReusePort = true
	free.Close()
	u := service("web", at, at, at)
	b.Hold(u, &u.spec, nil)
	if is, err := b.Called(u); is || err != nil {
		t.Errorf("none is open: %v, %v", is, err)
	}
	if err := b.Opener(u)(); err != nil {
		t.Fatal(err)
	}
	if _, fds := b.Sockets(u); len(fds) != 3 {
		t.Errorf("%v", fds)
	}
	for nth, h := range b.held[u] {
		if h.key != keyOf(&u.spec, u.spec.Sockets[0], nth) { // as other versions have it
			t.Errorf("%d: %s", nth, h.key)
		}
	}
	b.isRight(0)
	b.Release(u)
	b.isRight(0)
}

// Without anything to wait with, waiting is refused and the rest goes on.
func TestNoWatch(t *testing.T) {
	b := newBench(t, ToProgram{})
	b.end()
	b.watch.w = nil
	b.before--
	u := service("web", unix(b.path("s")))
	u.spec.FDStore = 1
	b.hold(u)
	err := b.Await(u, func(spec.Address) {})
	want := "wait for a connection to " + u.spec.Sockets[0].Listen.String()
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	b.StopAwaiting(u)
	r, theirs := pipe(t)
	b.Store(u, &u.spec, notify.Message{FDStore: true}, []int{r})
	if got := b.Held(slices.Values([]*user{u}), (*user).name); len(got) != 2 || !got[1].Dead {
		t.Errorf("%+v", got)
	}
	b.Release(u)
	b.Empty(u)
	closeFD(t, r, theirs)
	b.See()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b.isRight(0)
	b.hasFailed()
}

// A process finds its sockets first, then what its service has stored, each with its name.
func TestToProcess(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	ctl := unix(b.path("c"))
	ctl.Name, ctl.Nonblocking = "ctl", true
	main := service("web", unix(b.path("s")), ctl)
	main.spec.FDStore = 3
	main.runs = true
	second := &user{spec: main.spec, runs: true} // of a rolling restart
	r, w := pipe(t)
	b.Store(main, &main.spec, notify.Message{FDStore: true, FDName: "state"}, []int{w})
	nonblocking := func(u *user) (list []bool) {
		_, fds := b.Sockets(u)
		for _, fd := range fds {
			flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
			list = append(list, errno == 0 && flags&syscall.O_NONBLOCK != 0)
		}
		return list
	}
	set := func(on bool) {
		_, fds := b.Sockets(main)
		for _, fd := range fds {
			if err := syscall.SetNonblock(fd, on); err != nil {
				t.Error(err)
			}
		}
	}
	for _, c := range []struct {
		u      *user
		before bool // what whoever serves has made of them
		want   []bool
	}{
		{main, true, []bool{false, true}}, // which is about to run itself
		{second, true, []bool{true, true}},
		{second, false, []bool{false, true}},
	} {
		b.Hold(c.u, &c.u.spec, nil)
		if err := b.Opener(c.u)(); err != nil {
			t.Fatal(err)
		}
		set(c.before)
		p := b.ToProcess(c.u, main, &c.u.spec, func(u *user) bool { return u.runs })
		b.isRight(3) // both ends of the pipe, and a copy
		var sp spawn.Spec
		if err := p.Fill(&sp); err != nil {
			t.Fatal(err)
		}
		_, fds := b.Sockets(main)
		var source, number []int
		for _, f := range sp.RawFiles {
			source, number = append(source, f.Source), append(number, f.FD)
		}
		if len(source) != 3 || !slices.Equal(source[:2], fds) ||
			!slices.Equal(number, []int{3, 4, 5}) {
			t.Errorf("%+v", sp.RawFiles)
		}
		if !slices.Equal(sp.ListenNames, []string{"web", "ctl", "state"}) ||
			!slices.Equal(sp.Env, []string{"FDSTORE=3"}) {
			t.Errorf("%q %q", sp.ListenNames, sp.Env)
		}
		if got := nonblocking(main); !slices.Equal(got, c.want) {
			t.Errorf("non-blocking: %v, want %v", got, c.want)
		}
		p.Close()
		b.isRight(2)
	}
	b.Release(main)
	b.Release(second)
	b.Empty(main)
	closeFD(t, r, w)
	b.isRight(0)
}

// What cannot be opened is no reason to leave anything open.
func TestFillFails(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	first := service("first", unix(b.path("s")))
	b.hold(first)
	second := service("second", unix(first.spec.Sockets[0].Listen.Addr)) // where somebody listens
	second.spec.FDStore = 1
	r, w := pipe(t)
	b.Store(second, &second.spec, notify.Message{FDStore: true}, []int{w})
	b.Hold(second, &second.spec, nil)
	p := b.ToProcess(second, second, &second.spec, func(*user) bool { return false })
	if err := p.Fill(&spawn.Spec{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
	p.Close()
	if err := b.Opener(second)(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
	b.Release(second)
	b.Empty(second)
	closeFD(t, r, w)
	b.isRight(0)
	if !answers(first.spec.Sockets[0].Listen.Addr) {
		t.Error("the first one's is closed")
	}
	stranger := service("third", unix(b.path("t")))
	stranger.spec.Sockets[0].Owner = "no such user"
	b.Hold(stranger, &stranger.spec, nil)
	err := b.Opener(stranger)()
	if !strings.HasPrefix(fmt.Sprint(err), "open socket unix:/") {
		t.Error(err)
	}
	b.Release(stranger)
	b.Release(first)
	b.isRight(0)
	b.hasFailed()
}

// A name that cannot be taken away is told to whose socket it was.
func TestRemoveFails(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	dir := shortDir(t)
	u := service("web", unix(dir+"/s"))
	b.hold(u)
	if err := errors.Join(os.RemoveAll(dir), os.Symlink("/dev/null", dir)); err != nil {
		t.Fatal(err)
	}
	b.Release(u)
	if len(b.failed) != 1 || !strings.HasPrefix(b.failed[0], "web: close socket unix:"+dir+"/s: ") {
		t.Errorf("%q", b.failed)
	}
	b.isRight(0)
}

package handover

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// user is who is handed something.
type user struct {
	spec spec.Service
	runs bool
}

func (u *user) name() string { return u.spec.Name }

// bench is a table whose owner is the test.
type bench struct {
	testing.TB
	*Table[*user]
	failed   []string
	troubles []string
	noRoom   error
	inRoom   int

	mu     sync.Mutex
	posted []func()
	seen   chan struct{} // closed when See is over

	epoll  int // number of the descriptor of the watch
	before int // descriptors that were open without the table
}

func newBench(t testing.TB, given ToProgram) *bench {
	b := &bench{TB: t, seen: make(chan struct{})}
	b.Table = New(Options[*user]{
		Post: func(f func()) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.posted = append(b.posted, f)
		},
		Room: func() (func(), error) {
			b.inRoom++
			return func() { b.inRoom-- }, b.noRoom
		},
		Failed: func(u *user, err error) {
			b.failed = append(b.failed, u.name()+": "+err.Error())
		},
		Trouble: func(err error) { b.troubles = append(b.troubles, err.Error()) },
		Given:   given,
	})
	b.before = len(openFDs(t)) - len(b.given.FDs())
	before := openFDs(t)
	if err := b.Open(); err != nil {
		t.Fatal(err)
	}
	for fd, what := range openFDs(t) {
		if before[fd] == "" && what == "anon_inode:[eventpoll]" {
			b.epoll = fd
		}
	}
	b.before++
	go func() {
		b.See()
		close(b.seen)
	}()
	return b
}

// end is the end of the program.
func (b *bench) end() {
	b.Helper()
	if err := b.Close(); err != nil {
		b.Error(err)
	}
	<-b.seen
	if len(b.troubles) > 0 {
		b.Errorf("%q", b.troubles)
	}
}

// turn does what was posted.
func (b *bench) turn() {
	b.mu.Lock()
	list := b.posted
	b.posted = nil
	b.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// await takes turns until something is so.
func (b *bench) await(what string, is func() bool) {
	b.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			b.Fatal("not so after 10 seconds: ", what)
		}
		b.turn()
	}
}

func (b *bench) hasFailed(want ...string) {
	b.Helper()
	if !slices.Equal(b.failed, want) {
		b.Errorf("%q, want %q", b.failed, want)
	}
	b.failed = nil
}

// hold is what a start does, of a service without instances.
func (b *bench) hold(u *user) {
	b.Helper()
	b.Hold(u, &u.spec, nil)
	if err := b.Opener(u)(); err != nil {
		b.Fatal(err)
	}
}

// openFDs are the descriptors of this process, with what the kernel calls them.
func openFDs(t testing.TB) map[int]string {
	t.Helper()
	list := map[int]string{}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		fd, _ := strconv.Atoi(name.Name())
		// Without the descriptor of the directory itself.
		if what, err := os.Readlink("/proc/self/fd/" + name.Name()); err == nil {
			list[fd] = what
		}
	}
	return list
}

// held are all descriptors that the table should have open.
func (b *bench) fds() (list []int) {
	for _, h := range b.sockets {
		if fd := h.fd(); fd >= 0 {
			list = append(list, fd)
		}
	}
	for _, st := range b.stores {
		list = append(list, numbers(st.files)...)
	}
	return append(list, b.given.FDs()...)
}

// patience is how long what is closed away from the owner may take.
var patience = 10 * time.Second

// check says what is not as it must be after each step. others are the descriptors that are open
// besides those of the table.
func (b *bench) check(others int) (errs error) {
	wrong := func(format string, args ...any) {
		errs = errors.Join(errs, fmt.Errorf(format, args...))
	}
	keys := map[uint64]int{} // of the watch, with the descriptors they should be of
	belongs := func(key uint64, fd int) {
		if _, twice := keys[key]; twice {
			wrong("key %d is that of two descriptors", key)
		}
		keys[key] = fd
	}
	for key, h := range b.sockets {
		if key != h.key || len(h.users) == 0 {
			wrong("socket %s, known as %s, has %d users", h.key, key, len(h.users))
		}
		for u := range h.users {
			if !slices.Contains(b.held[u], h) {
				wrong("%s is a user of %s, and does not hold it", u.name(), h.spec.Listen)
			}
		}
		for u := range h.waiting {
			if _, uses := h.users[u]; !uses {
				wrong("%s waits at %s, and is no user of it", u.name(), h.spec.Listen)
			}
		}
		if (len(h.waiting) > 0) != (h.watch != 0) {
			wrong("%d wait at %s, by key %d", len(h.waiting), h.spec.Listen, h.watch)
		}
		if h.watch != 0 {
			belongs(h.watch, h.fd())
		}
		if fd := h.fd(); fd >= 0 && !socket.Is(fd, h.spec) {
			wrong("descriptor %d is not %s", fd, h.spec.Listen)
		}
	}
	for u, list := range b.held {
		if len(list) == 0 {
			wrong("%s holds nothing, and is known", u.name())
		}
		for i, h := range list {
			if _, uses := h.users[u]; !uses || b.sockets[h.key] != h ||
				slices.Contains(list[:i], h) {
				wrong("%s holds %s: a user: %v; twice: %v",
					u.name(), h.key, uses, slices.Contains(list[:i], h))
			}
		}
	}
	for _, st := range b.stores {
		for _, f := range st.files {
			if f.key != 0 {
				belongs(f.key, f.fd)
			}
		}
	}
	waits := map[uint64]int{}
	for key, w := range b.watch.waits {
		waits[key] = w.fd
	}
	if !maps.Equal(waits, keys) {
		wrong("waited for by key: %v, should be %v", waits, keys)
	}
	if b.watch.w != nil {
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", b.epoll))
		if got := strings.Count(string(info), "tfd:"); err != nil || got != len(keys) {
			wrong("the kernel waits at %d descriptors, should be %d: %v", got, len(keys), err)
		}
	}
	fds := b.fds()
	if slices.Sort(fds); len(slices.Compact(slices.Clone(fds))) != len(fds) {
		wrong("held twice: %v", fds)
	}
	open := openFDs(b)
	for _, fd := range fds {
		if open[fd] == "" {
			wrong("descriptor %d is held and closed", fd)
		}
	}
	// What is let go of is closed, some of it away from here.
	others += b.before
	for end := time.Now().Add(patience); len(open) != others+len(fds); open = openFDs(b) {
		if time.Now().After(end) {
			wrong("%d descriptors are open: %d are held and %d others': %v",
				len(open), len(fds), others, open)
			patience = 10 * time.Millisecond // rapid finds the smallest example
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	if b.inRoom != 0 {
		wrong("room for %d descriptors is not given back", b.inRoom)
	}
	return errs
}

func (b *bench) isRight(others int) {
	b.Helper()
	if err := b.check(others); err != nil {
		b.Error(err)
	}
}

// shortDir is a directory whose name leaves room for that of a socket.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/tmp", "dmn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func unix(path string) spec.Socket {
	return spec.Socket{Listen: spec.Address{Network: spec.NetUnix, Addr: path}}
}

func service(name string, sockets ...spec.Socket) *user {
	s := spec.Service{Name: name, Command: spec.Command{"/bin/true"}, Sockets: sockets}
	return &user{spec: s.WithDefaults()}
}

// instance is one of several of the service "web".
func instance(n int, sockets ...spec.Socket) *user {
	u := service(fmt.Sprintf("web@%d", n), sockets...)
	u.spec.Instance = n
	return u
}

// answers says whether somebody listens at a path. The connection stays in the queue.
func answers(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// pipe is a pair of descriptors that nothing else closes.
func pipe(t testing.TB) (r, w int) {
	t.Helper()
	r, w, err := sys.NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func closeFD(t testing.TB, fds ...int) {
	t.Helper()
	for _, fd := range fds {
		if err := sys.CloseFD(fd); err != nil {
			t.Error(err)
		}
	}
}

func (b *bench) path(name string) string { return filepath.Join(shortDir(b), name) }

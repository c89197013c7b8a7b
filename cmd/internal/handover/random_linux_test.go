package handover

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// TestRandom has services, of which some share, come and go in any order, and sees after each step
// that everything is as it must be: what is open has a user and is what he was told, nobody holds
// twice, what is let go of is closed and its name gone, and who waits is who asked to.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Uint32(), 20, 60).Draw(rt, "steps")
		ok := t.Run("run", func(t *testing.T) { newRandom(t).run(steps) })
		if !ok {
			rt.Fatal("see above")
		}
	})
}

// random is a table with all that a caller may do to it.
type random struct {
	*bench
	dir   string
	users []*user
	pipes [][2]int // what services store, and the other end; -1 once it is closed
	// What should be so.
	holds  map[*user][]spec.Socket
	inodes map[string]string // of open sockets, by key: the same until the last user has gone
	awaits map[*user]bool
}

func newRandom(t *testing.T) *random {
	r := &random{
		bench: newBench(t, ToProgram{}), dir: shortDir(t),
		holds: map[*user][]spec.Socket{}, inodes: map[string]string{}, awaits: map[*user]bool{},
	}
	// The third is another process of the first's service.
	r.users = []*user{instance(1), instance(2), instance(1), service("db")}
	for _, u := range r.users {
		u.spec.FDStore = 3
	}
	for range 4 {
		a, b := pipe(t)
		r.pipes = append(r.pipes, [2]int{a, b})
	}
	return r
}

// describe gives u one of several sets of sockets.
func (r *random) describe(u *user, n uint32) {
	at := unix(filepath.Join(r.dir, u.spec.BaseName()))
	at.Backlog = 7 + int(n/4%2)
	also := unix(filepath.Join(r.dir, fmt.Sprintf("%s.%d", u.spec.BaseName(), n/8%2)))
	u.spec.Sockets = [][]spec.Socket{{}, {at}, {also}, {at, also}}[n%4]
	u.spec = u.spec.WithDefaults()
}

func (r *random) run(steps []uint32) {
	var did []string
	for _, n := range steps {
		n *= 2654435761 // or small numbers would be far more frequent, and what they stand for
		n ^= n >> 15
		u, what := r.users[n%4], n/4%16
		did = append(did, fmt.Sprint(u.name(), n%4, " ", what))
		r.step(u, what, n/64)
		if err := r.check(r.others()); err != nil {
			r.Fatalf("%v\nafter %q", err, did)
		}
		r.isAsExpected(did)
	}
	for _, u := range r.users {
		r.Release(u)
		r.Empty(u)
	}
	for _, p := range r.pipes {
		closeFD(r, p[0])
		if p[1] >= 0 {
			closeFD(r, p[1])
		}
	}
	r.isRight(0)
	if len(r.stores) > 0 {
		r.Error("stores of nothing are kept")
	}
	if left, err := os.ReadDir(r.dir); len(left) > 0 || err != nil {
		r.Errorf("left: %v, %v", left, err)
	}
	r.end()
}

// others are the descriptors that are not the table's.
func (r *random) others() (n int) {
	for _, p := range r.pipes {
		n++
		if p[1] >= 0 {
			n++
		}
	}
	return n
}

func (r *random) step(u *user, what, n uint32) {
	switch what {
	case 0, 1, 2:
		r.describe(u, n)
		instances := r.users[:2]
		if u == r.users[3] {
			instances = nil
		}
		for _, other := range instances { // and not the other process of one of them
			if other != u && len(u.spec.Sockets) > 0 {
				r.holds[other] = slices.DeleteFunc(slices.Clone(r.holds[other]),
					func(had spec.Socket) bool {
						return slices.ContainsFunc(u.spec.Sockets, func(s spec.Socket) bool {
							return s.Listen == had.Listen && s.Backlog != had.Backlog
						})
					})
			}
		}
		r.holds[u] = u.spec.Sockets
		r.Hold(u, &u.spec, slices.Values(instances))
	case 3:
		r.Release(u)
		delete(r.holds, u)
		delete(r.awaits, u)
	case 4, 5:
		_ = r.Opener(u)() // another may have the address, which the engine sees to
	case 6, 7:
		_, fds := r.Sockets(u)
		if len(fds) == 0 || slices.Contains(fds, -1) {
			return
		}
		r.awaits[u] = true
		if err := r.Await(u, func(spec.Address) {
			if !r.awaits[u] {
				r.Errorf("%s is told, and does not wait", u.name())
			}
			delete(r.awaits, u)
		}); err != nil {
			r.Error(err)
		}
	case 8:
		r.StopAwaiting(u)
		delete(r.awaits, u)
	case 9:
		for _, s := range r.holds[u] {
			answers(s.Listen.Addr)
		}
	case 10, 11:
		files := []int{r.pipes[n%4][0], r.pipes[n/4%4][0]}
		r.Store(u, &u.spec, notify.Message{
			FDStore: n/16%8 > 0, FDName: fmt.Sprint(n / 128 % 2),
			FDStoreRemove: n/256%4 == 0, FDKeepDead: n/1024%2 == 0,
		}, files)
	case 12:
		if p := &r.pipes[n%4]; p[1] >= 0 && n/4%4 == 0 {
			closeFD(r, p[1])
			p[1] = -1
		}
	case 13:
		to := r.users[n%4]
		r.Empty(to)
		r.Move(u, to)
	case 14:
		p := r.ToProcess(u, u, &u.spec, func(*user) bool { return n%2 == 0 })
		_ = p.Fill(&spawn.Spec{}) // as above
		p.Close()
	case 15:
		r.turn()
	}
	if n/32768%32 == 0 {
		r.upgrade()
	}
}

// upgrade goes on with another table, as the next program does. Of a service with two processes
// the first is gone on with.
func (r *random) upgrade() {
	for _, u := range r.users {
		r.StopAwaiting(u)
	}
	clear(r.awaits)
	registered := []*user{r.users[0], r.users[1], r.users[3]}
	held := r.Held(slices.Values(registered), (*user).name)
	opened := map[string]int{}
	for key, h := range r.sockets {
		if fd := h.fd(); fd >= 0 {
			opened[key] = fd
		}
	}
	for _, d := range held {
		delete(opened, d.Socket)
	}
	for key, fd := range opened { // of the second process alone: its end is that of the socket
		closeFD(r, fd)
		if err := os.Remove(r.sockets[key].spec.Listen.Addr); err != nil {
			r.Error(err)
		}
	}
	r.Empty(r.users[2])
	delete(r.holds, r.users[2])
	r.end()
	before := r.before
	r.bench = newBench(r.TB, ToProgram{Held: held})
	r.before = before
	for _, u := range registered {
		r.Restore(u, u.name())
		described := u.spec
		described.Sockets = r.holds[u]
		r.Hold(u, &described, nil)
		r.Adopt(u, 0)
	}
	if len(r.given.Held) > 0 {
		r.Errorf("nobody has claimed %+v", r.given.Held)
	}
	r.CloseGiven()
}

func (r *random) isAsExpected(did []string) {
	for _, u := range r.users {
		list, _ := r.Sockets(u)
		same := slices.EqualFunc(list, r.holds[u], func(a, b spec.Socket) bool {
			return a.Listen == b.Listen && a.Backlog == b.Backlog
		})
		if !same {
			r.Fatalf("%s holds %v, should hold %v\nafter %q", u.name(), list, r.holds[u], did)
		}
		for _, h := range r.held[u] {
			if h.waiting[u] != nil && !r.awaits[u] {
				r.Fatalf("%s waits\nafter %q", u.name(), did)
			}
		}
	}
	inodes := map[string]string{}
	open := openFDs(r)
	for key, h := range r.sockets {
		if fd := h.fd(); fd >= 0 {
			inodes[key] = open[fd]
			if was := r.inodes[key]; was != "" && was != open[fd] {
				r.Fatalf("%s is another one\nafter %q", h.spec.Listen, did)
			}
		} else if r.inodes[key] != "" {
			r.Fatalf("%s is not open any more\nafter %q", h.spec.Listen, did)
		}
	}
	r.inodes = inodes
	// Nothing is stored twice for one service.
	for u, st := range r.stores {
		for i, f := range st.files {
			for _, g := range st.files[:i] {
				if same, err := sys.SameDescription(f.fd, g.fd); same || err != nil {
					r.Fatalf("%s has stored one twice: %v\nafter %q", u.name(), err, did)
				}
			}
		}
		if len(st.files) > u.spec.FDStore {
			r.Fatalf("%s has stored %d\nafter %q", u.name(), len(st.files), did)
		}
	}
	for _, failed := range r.failed {
		if !strings.HasSuffix(failed, "refused, the limit is 3") {
			r.Errorf("%s\nafter %q", failed, did)
		}
	}
	r.failed = nil
}

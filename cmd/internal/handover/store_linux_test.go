package handover

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

func (b *bench) stored(u *user) (names []string) {
	for _, d := range b.Held(slices.Values([]*user{u}), (*user).name) {
		if d.Socket == "" {
			names = append(names, d.Name)
		}
	}
	return names
}

func (b *bench) hasStored(u *user, want ...string) {
	b.Helper()
	if got := b.stored(u); !slices.Equal(got, want) {
		b.Errorf("stored: %q, want %q", got, want)
	}
}

func keeper(limit int) *user {
	u := service("k")
	u.spec.FDStore = limit
	return u
}

// The same open file is kept once, by its first name, up to the limit.
func TestStore(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	u := keeper(3)
	r, w := pipe(t)
	store := func(m notify.Message, files ...int) { b.Store(u, &u.spec, m, files) }
	store(notify.Message{FDName: "x"}, w) // does not ask for it
	b.hasStored(u)
	again, err := syscall.Dup(w)
	if err != nil {
		t.Fatal(err)
	}
	store(notify.Message{FDStore: true}, w, again)
	b.hasStored(u, "stored")
	store(notify.Message{FDStore: true, FDName: "other"}, again)
	b.hasStored(u, "stored")
	b.isRight(3)
	closeFD(t, again)

	var more []int
	for range 3 {
		r, w := pipe(t)
		more = append(more, r, w)
	}
	store(notify.Message{FDStore: true, FDName: "m"}, more[1], more[3], more[5])
	b.hasFailed("k: descriptor store: 1 descriptor refused, the limit is 3")
	b.hasStored(u, "stored", "m", "m")
	store(notify.Message{FDStore: true, FDName: "n"}, more[0], more[2])
	b.hasFailed("k: descriptor store: 2 descriptors refused, the limit is 3")
	store(notify.Message{FDStoreRemove: true, FDName: "m"})
	b.hasStored(u, "stored")
	b.isRight(8)
	both := notify.Message{FDStoreRemove: true, FDName: "stored", FDStore: true}
	store(both, more[1])
	b.hasStored(u, "stored")

	// To whom the service's place is given, what it has stored is given too.
	next := &user{spec: u.spec}
	b.Move(u, next)
	b.hasStored(u)
	b.hasStored(next, "stored")
	b.Move(u, next) // nothing is there to be given
	b.hasStored(next, "stored")
	b.Empty(u)
	b.hasStored(next, "stored")
	closeFD(t, more[1])
	closeFD(t, more[0]) // the other side
	b.await("what nobody can use any more is dropped",
		func() bool { return len(b.stored(next)) == 0 })
	b.isRight(6)
	b.Empty(next)
	b.Empty(next)
	b.Store(u, &u.spec, notify.Message{FDStoreRemove: true}, nil)
	closeFD(t, append(more[2:], r, w)...)
	b.isRight(0)
	if len(b.stores) > 0 {
		t.Error("stores of nothing are kept")
	}
	b.hasFailed()
}

// What the service wants to have back in any case is kept when its other side is gone, and so is
// what has none.
func TestStoreDead(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	u := keeper(3)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w := pipe(t)
	r2, w2 := pipe(t)
	b.Store(u, &u.spec, notify.Message{FDStore: true, FDName: "watched"}, []int{r2})
	b.Store(u, &u.spec, notify.Message{FDStore: true, FDName: "file"}, []int{int(file.Fd())})
	b.Store(u, &u.spec, notify.Message{FDStore: true, FDName: "dead", FDKeepDead: true}, []int{r})
	b.hasStored(u, "watched", "file", "dead")
	closeFD(t, r, w, r2, w2)
	b.await("the watched one is dropped", func() bool { return len(b.stored(u)) == 2 })
	b.hasStored(u, "file", "dead")
	b.isRight(1)
	b.Empty(u)
	b.isRight(1)
}

// Nothing is kept that the supervisor has no room for, and it is told.
func TestStoreWithoutRoom(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	u := keeper(3)
	r, w := pipe(t)
	b.noRoom = syscall.EMFILE
	b.Store(u, &u.spec, notify.Message{FDStore: true, FDName: "x"}, []int{r, w})
	b.hasStored(u)
	const no = "k: descriptor store: x: too many open files"
	b.hasFailed(no, no)
	b.inRoom, b.noRoom = 0, nil // who had no room has none to leave
	b.Store(u, &u.spec, notify.Message{FDStore: true, FDName: "x"}, []int{-1, r})
	b.hasStored(u, "x")
	b.hasFailed("k: descriptor store: x: fcntl: bad file descriptor")
	b.Empty(u)
	closeFD(t, r, w)
	b.isRight(0)
}

// A process is handed 200 descriptors at most: sockets come first.
func TestStoreLimit(t *testing.T) {
	for _, c := range []struct{ sockets, store, want int }{
		{0, 0, 0}, {0, 7, 7}, {0, 1000, 200}, {150, 1000, 50}, {150, 7, 7}, {250, 7, 0},
	} {
		s := spec.Service{Sockets: make([]spec.Socket, c.sockets), FDStore: c.store}
		if got := storeLimit(&s); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Descriptors of messages are closed, a bounded number at a time.
func TestCloseFiles(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	r, w := pipe(t)
	b.CloseFiles(&sys.Packet{Files: []int{r, w}})
	b.CloseFiles(&sys.Packet{})
	b.isRight(0)
	b.await("room is given back", func() bool { return len(b.closing) == 0 })
	for range mostClosing - 1 { // whose close takes long
		b.closing <- struct{}{}
	}
	r, w = pipe(t)
	closed := make(chan struct{})
	go func() {
		b.CloseFiles(&sys.Packet{Files: []int{r, w}})
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("it does not wait")
	case <-time.After(10 * time.Millisecond):
	}
	<-b.closing
	<-closed
	b.isRight(0)
}

// Copies outlive the message, or there are none.
func TestCopy(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	r, w := pipe(t)
	list, err := Copy([]int{r, w})
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	closeFD(t, r, w)
	if same, err := sys.SameDescription(list[0], list[1]); same || err != nil {
		t.Error(same, err)
	}
	if list, err := Copy([]int{list[0], -1, list[1]}); list != nil ||
		!errors.Is(err, syscall.EBADF) {
		t.Error(list, err)
	}
	b.isRight(2)
	CloseAway(list)
	CloseAway(nil)
	b.isRight(0)
}

// A start that cannot have what is stored has nothing of it.
func TestCopiesFail(t *testing.T) {
	b := newBench(t, ToProgram{})
	defer b.end()
	u := keeper(3)
	r, w := pipe(t)
	b.Store(u, &u.spec, notify.Message{FDStore: true, FDName: "x"}, []int{r})
	b.Store(u, &u.spec, notify.Message{FDStore: true, FDName: "y"}, []int{w})
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	free, next := pipe(t) // room for the copy of one
	closeFD(t, free, next)
	short := sys.Rlimit{Soft: uint64(next), Hard: limit.Max}
	if err := sys.Setrlimit(syscall.RLIMIT_NOFILE, short); err != nil {
		t.Fatal(err)
	}
	p := b.ToProcess(u, u, &u.spec, func(*user) bool { return false })
	before := sys.Rlimit{Soft: limit.Cur, Hard: limit.Max}
	if err := sys.Setrlimit(syscall.RLIMIT_NOFILE, before); err != nil {
		t.Fatal(err)
	}
	if err := p.Fill(nil); fmt.Sprint(err) != "descriptor store: y: fcntl: too many open files" {
		t.Error(err)
	}
	p.Close()
	b.Empty(u)
	closeFD(t, r, w)
	b.isRight(0)
}

package handover

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// Other versions read and write it in the same way.
func TestToProgramText(t *testing.T) {
	p := ToProgram{
		Notify: 7, Pipes: []int{8, 9}, Event: 12,
		Held: []Descriptor{
			{Service: "web", Socket: "key", FD: 3},
			{Service: "web", Name: "state", Dead: true, FD: 4},
		},
	}
	const want = `{"notify":7,"held":[{"service":"web","socket":"key","fd":3},` +
		`{"service":"web","name":"state","dead":true,"fd":4}],"pipes":[8,9],"event":12}`
	text, err := json.Marshal(p)
	if string(text) != want || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	var back ToProgram
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("%+v, %v", back, err)
	}
	if got := p.FDs(); !slices.Equal(got, []int{7, 3, 4, 8, 9}) {
		t.Errorf("%v", got)
	}
	if text, err = json.Marshal(ToProgram{}); string(text) != "{}" || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

// The next program finds what this one has given it, with those for whom it was held, and closes
// what nobody claims.
func TestGiven(t *testing.T) {
	b := newBench(t, ToProgram{})
	path := b.path("s")
	one, two := instance(1, unix(path)), instance(2, unix(path))
	gone := service("gone", unix(b.path("gone")))
	one.spec.FDStore, two.spec.FDStore = 3, 3
	all := []*user{one, two, gone}
	r, w := pipe(t)
	b.Store(one, &one.spec, notify.Message{FDStore: true, FDName: "state"}, []int{r})
	b.Store(one, &one.spec,
		notify.Message{FDStore: true, FDName: "dead", FDKeepDead: true}, []int{w})
	b.Store(two, &two.spec, notify.Message{FDStore: true, FDKeepDead: true}, []int{r, w})
	closeFD(t, r)
	if got := b.Held(slices.Values([]*user{gone}), (*user).name); len(got) != 0 {
		t.Errorf("nothing is open, and held: %+v", got)
	}
	for _, u := range all {
		b.hold(u)
	}
	p := ToProgram{Held: b.Held(slices.Values(all), (*user).name)}
	key := func(u *user) string { return keyOf(&u.spec, u.spec.Sockets[0], 0) }
	_, fds := b.Sockets(one)
	_, goneFDs := b.Sockets(gone)
	want := []Descriptor{
		{Service: "web@1", Socket: key(one), FD: fds[0]},
		{Service: "web@1", Name: "state", FD: b.stores[one].files[0].fd},
		{Service: "web@1", Name: "dead", Dead: true, FD: b.stores[one].files[1].fd},
		{Service: "web@2", Name: "stored", Dead: true, FD: b.stores[two].files[0].fd},
		{Service: "web@2", Name: "stored", Dead: true, FD: b.stores[two].files[1].fd},
		{Service: "gone", Socket: key(gone), FD: goneFDs[0]},
	}
	if !reflect.DeepEqual(p.Held, want) {
		t.Errorf("%+v\nwant %+v", p.Held, want)
	}
	b.end()
	pipes := filepath.Join(b.path(""), "pipes")
	err := errors.Join(p.OpenPipes(pipes), os.Mkdir(pipes, 0o700),
		sys.MakeFIFO(filepath.Join(pipes, "x"), 0o600),
		os.WriteFile(filepath.Join(pipes, "file"), nil, 0o600), p.OpenPipes(pipes))
	if err != nil || len(p.Pipes) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}

	next := newBench(t, p)
	next.before--                 // our end of the pipe
	p.Held[1].Service = "changed" // is the caller's
	for _, u := range []*user{one, two} {
		next.Restore(u, u.name())
		next.Hold(u, &u.spec, nil)
		next.Adopt(u, 0)
	}
	next.isRight(1)
	if got := next.Held(slices.Values([]*user{one, two}), (*user).name); !reflect.DeepEqual(got,
		want[:5]) {
		t.Errorf("%+v\nwant %+v", got, want[:5])
	}
	if !answers(path) {
		t.Error("not open")
	}
	next.CloseGiven()
	next.isRight(1)
	next.hasFailed()
	closeFD(t, w)
	for _, u := range []*user{one, two} {
		next.Release(u)
		next.Empty(u)
	}
	next.isRight(0)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its name is left: %v", err)
	}
	next.end()
}

// What cannot be gone on with is closed.
func TestGivenInVain(t *testing.T) {
	r, w := pipe(t)
	u := service("web", unix(shortDir(t)+"/s"))
	u.spec.Sockets[0].Owner = "no such user"
	given := Descriptor{Service: "web", Socket: keyOf(&u.spec, u.spec.Sockets[0], 0), FD: r}
	b := newBench(t, ToProgram{Held: []Descriptor{given}})
	defer b.end()
	b.before-- // our end
	b.Hold(u, &u.spec, nil)
	b.Adopt(u, 0)
	if len(b.failed) != 1 || !strings.HasPrefix(b.failed[0], "web: socket unix:/") ||
		!strings.Contains(b.failed[0], ": not taken over, and opened anew at the next start: ") {
		t.Errorf("%q", b.failed)
	}
	b.isRight(1)
	b.Release(u)
	closeFD(t, w)
	b.isRight(0)
}

// holding holds what it is handed until it is told to end.
var holding = proctest.Register("holding", func([]string) int {
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
})

// What the process of a service has is taken from it, and nothing else.
func TestAdoptFromProcess(t *testing.T) {
	scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if os.Geteuid() != 0 && len(scope) > 0 && scope[0] != '0' {
		t.Skip("an ordinary user may not trace here (kernel.yama.ptrace_scope)")
	}
	b := newBench(t, ToProgram{})
	defer b.end()
	fifo := spec.Socket{Listen: spec.Address{Network: spec.NetFIFO, Addr: b.path("f")}}
	u := service("web", unix(b.path("other")), unix(b.path("s")), fifo)
	first := &user{spec: u.spec}
	b.hold(first)
	_, fds := b.Sockets(first)
	third := service("third", unix(b.path("new")))
	b.hold(third)
	_, thirdFDs := b.Sockets(third)
	own, err := sys.DupAbove(thirdFDs[0], 3)
	if err != nil {
		t.Fatal(err)
	}
	cmd := holding.Command(t)
	stderr := os.NewFile(uintptr(own), "stderr") // no stream is what it was handed as a socket
	cmd.Stderr = stderr
	for _, fd := range fds {
		own, err := sys.DupAbove(fd, 3)
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(own), "socket"))
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range append(cmd.ExtraFiles, stderr) {
		f.Close()
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	// The supervisor has died: nobody else has them.
	closeFD(t, append(fds, thirdFDs...)...)
	clear(b.sockets)
	clear(b.held)

	b.before = len(openFDs(t)) // with the pipes of the process
	u.spec.Sockets = append(slices.Clone(u.spec.Sockets), third.spec.Sockets[0])
	b.Hold(u, &u.spec, nil)
	b.Adopt(u, cmd.Process.Pid)
	b.hasFailed("web: socket " + third.spec.Sockets[0].Listen.String() +
		": not taken over, and opened anew at the next start: its process does not have it open")
	b.isRight(0)
	if _, got := b.Sockets(u); slices.Contains(got[:3], -1) || got[3] != -1 {
		t.Errorf("%v", got)
	}
	b.Adopt(u, cmd.Process.Pid) // what is open stays as it is
	b.isRight(0)
	b.failed = nil
	if !answers(u.spec.Sockets[0].Listen.Addr) || !answers(u.spec.Sockets[1].Listen.Addr) {
		t.Error("not open")
	}
	b.Release(u)
	b.isRight(0)
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	// Nor is anything of a process that is gone.
	b.before = len(openFDs(t))
	b.Hold(u, &u.spec, nil)
	b.Adopt(u, cmd.Process.Pid)
	if len(b.failed) != 4 || !strings.Contains(b.failed[0], "no such process") {
		t.Errorf("%q", b.failed)
	}
	b.Release(u)
	b.isRight(0)
}

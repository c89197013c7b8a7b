package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// fakeKernel is a system in which processes do what the test says.
type fakeKernel struct {
	mu       sync.Mutex
	next     int
	live     map[int]fakeProcess
	dead     []fakeDeath  // not reaped
	given    map[int]bool // numbers of reaped children: by now they are strangers'
	strayed  []string     // signals that would have hit a stranger
	exits    chan struct{}
	startErr error
	childErr error
	signals  []string // "PID SIGNAL"
	busy     bool     // never at rest
	grown    int64    // bytes more in each process
	deaf     bool     // to every signal but KILL
	deafOnes []int    // processes that are
	refuses  []int    // processes that we may not signal
	undead   bool     // even to KILL, as in an uninterruptible sleep
	reaped   bool     // somebody else reaps what is dead, in the moment before the engine does
	hangs    bool     // a start waits until it is given up
	slow     bool     // a process lives for a while before its start is told
	ooms     uint64
	random   float64

	connected int // to the sockets of any service
	connErr   error
}

type fakeProcess struct {
	session    int
	invocation string
	adopted    bool
	args       []string
}

type fakeDeath struct {
	pid    int
	status syscall.WaitStatus
}

func (k *fakeKernel) start(ctx context.Context, s *spawn.Spec) (int, error) {
	k.mu.Lock()
	hangs := k.hangs
	k.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	pid, slow, err := k.fork(s)
	if slow {
		time.Sleep(spawnTime)
	}
	return pid, err
}

// spawnTime is how long a slow start takes.
const spawnTime = 50 * time.Millisecond

func (k *fakeKernel) fork(s *spawn.Spec) (pid int, slow bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.startErr != nil {
		return 0, k.slow, k.startErr
	}
	k.next++
	k.live[k.next] = fakeProcess{session: k.next, args: s.Args}
	return k.next, k.slow, nil
}

// set changes what the test says of the system while the engine runs.
func (k *fakeKernel) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// adopt makes a process that outlived its parent a child of the engine.
func (k *fakeKernel) adopt(session int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next++
	k.live[k.next] = fakeProcess{session: session, adopted: true}
	return k.next
}

func (k *fakeKernel) die(pid int, status syscall.WaitStatus) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dieLocked(pid, status)
}

func (k *fakeKernel) dieLocked(pid int, status syscall.WaitStatus) {
	if _, ok := k.live[pid]; !ok {
		return
	}
	delete(k.live, pid)
	k.dead = append(k.dead, fakeDeath{pid, status})
	select {
	case k.exits <- struct{}{}:
	default:
	}
}

func (k *fakeKernel) firstDead() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.dead) == 0 {
		return 0, nil
	}
	return k.dead[0].pid, nil
}

func (k *fakeKernel) reap(pid int) (children.Exit, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.dead, func(d fakeDeath) bool { return d.pid == pid })
	if i < 0 {
		return children.Exit{}, false, nil
	}
	d := k.dead[i]
	k.dead = slices.Delete(k.dead, i, i+1)
	if k.reaped {
		return children.Exit{}, false, syscall.ECHILD
	}
	k.given[pid] = true
	return children.Exit{Status: d.status, At: time.Now()}, true, nil
}

// signal is for children: whoever is signalled by a number that is no child's is a stranger.
func (k *fakeKernel) signal(pid int, sig syscall.Signal) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	zombie := slices.ContainsFunc(k.dead, func(d fakeDeath) bool { return d.pid == pid })
	if _, ok := k.live[pid]; !ok && !zombie {
		k.strayed = append(k.strayed, fmt.Sprintf("%d %s", pid, sys.SignalName(sig)))
		return nil // as it would be for root
	}
	return k.deliver(pid, sig)
}

func (k *fakeKernel) signalGroup(leader int, sig syscall.Signal) error {
	return k.signal(leader, sig)
}

func (k *fakeKernel) signalFound(found sys.ProcStat, sig syscall.Signal) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.given[found.PID] || found.StartTime != uint64(found.PID) {
		return syscall.ESRCH
	}
	return k.deliver(found.PID, sig)
}

func (k *fakeKernel) deliver(pid int, sig syscall.Signal) error {
	if _, ok := k.live[pid]; !ok {
		return syscall.ESRCH
	}
	if slices.Contains(k.refuses, pid) {
		return syscall.EPERM
	}
	if sig == syscall.SIGCONT {
		return nil
	}
	k.signals = append(k.signals, fmt.Sprintf("%d %s", pid, sys.SignalName(sig)))
	if !k.undead && (sig == syscall.SIGKILL || !k.deaf && !slices.Contains(k.deafOnes, pid)) {
		k.dieLocked(pid, syscall.WaitStatus(sig))
	}
	return nil
}

func (k *fakeKernel) children() (list []int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for pid, p := range k.live {
		if p.adopted {
			list = append(list, pid)
		}
	}
	return list, k.childErr
}

func (k *fakeKernel) stat(pid int) (sys.ProcStat, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.live[pid]
	if !ok {
		return sys.ProcStat{}, syscall.ESRCH
	}
	return sys.ProcStat{PID: pid, Session: p.session, StartTime: uint64(pid)}, nil
}

func (k *fakeKernel) kernel() lifecycle.Kernel {
	return lifecycle.Kernel{
		Kernel: children.Kernel{
			Watch: func() (<-chan struct{}, func(), error) { return k.exits, func() {}, nil },
			Dead:  k.firstDead, Reap: k.reap, Signal: k.signal, SignalGroup: k.signalGroup,
			SignalFound: k.signalFound, Children: k.children, Stat: k.stat,
			Descendants: func(int) []sys.ProcStat { return nil },
			Cgroup:      func(int) (string, error) { return "/", nil },
			Environ: func(pid int) ([]string, error) {
				return []string{children.InvocationVariable + k.live[pid].invocation}, nil
			},
			Outputs: func(int) []sys.FileID { return nil },
			Memory: func(int) (n int64, err error) {
				k.set(func() { n = 1<<20 + k.grown })
				return n, nil
			},
			Identify: func(pid int) children.Identity {
				return children.Identity{PID: pid, Pidfd: uint64(pid)}
			},
		},
		Start:    k.start,
		Ignores:  func(int, syscall.Signal) bool { return k.deaf },
		OOMKills: func() (uint64, error) { return k.ooms, nil },
		Random:   func() float64 { return k.random },
		Connections: func([]spec.Socket, []int) (n int, err error) {
			k.set(func() { n, err = k.connected, k.connErr })
			return n, err
		},
		Looks: func(pid int, _ func() []int) probe.Looks { return fakeLooks{k, pid} },
	}
}

// fakeLooks are those at a process: at rest while it lives and is not busy.
type fakeLooks struct {
	k   *fakeKernel
	pid int
}

func (l fakeLooks) Look() (d sys.Doing, err error) {
	l.k.set(func() {
		_, alive := l.k.live[l.pid]
		d.Running = !alive || l.k.busy
	})
	return d, nil
}

func (fakeLooks) Sockets() (bool, string) { return false, "" }

// sent returns the signals sent so far, and forgets them.
func (k *fakeKernel) sent() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.signals
	k.signals = nil
	return list
}

// exited is the status of a process that ended with code.
func exited(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }

// bench is an engine on a fake kernel. Its owner is whoever calls turn, unless run has begun.
type bench struct {
	testing.TB
	*Engine
	k        *fakeKernel
	troubles []string
	diskErr  error
	writes   int
}

func newBench(t testing.TB) *bench {
	b := &bench{TB: t, k: &fakeKernel{
		next:  100,
		live:  map[int]fakeProcess{},
		given: map[int]bool{},
		exits: make(chan struct{}, 1),
	}}
	b.Engine = newEngine(Options{
		Environ: []string{}, Trouble: b.trouble,
	}, b.k.kernel())
	b.keeper.Replace = func(persist.StateFile) error { b.writes++; return b.diskErr }
	return b
}

// trouble writes down what the engine tells. A state that changes while nothing happens is never
// right.
func (b *bench) trouble(err error) {
	if b.troubles = append(b.troubles, err.Error()); strings.Contains(err.Error(),
		lifecycle.Unhappened) {
		b.Error(err)
	}
}

// service is a description with these changes to a plain one.
func plain(name string, change ...func(*spec.Service)) spec.Service {
	s := spec.Service{
		Name:    name,
		Command: spec.Command{"/bin/true"},
		Ready:   spec.Probe{Kind: spec.ProbeNotify},
	}
	for _, f := range change {
		f(&s)
	}
	return s.WithDefaults()
}

// put adds a service without starting it.
func (b *bench) put(s spec.Service) *service {
	one := b.newService(s.WithDefaults(), "", nil)
	b.services.Add(one)
	return one
}

// run runs the engine in a bubble of synctest until the test body ends.
func (b *bench) run() (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// inOwner runs f as the owner, once the engine has settled.
func (b *bench) inOwner(f func()) {
	b.Helper()
	synctest.Wait()
	if err := b.ask(context.Background(), f); err != nil {
		b.Error(err)
	}
	synctest.Wait()
}

// named is the service of that name, nil if there is none.
func (b *bench) named(name string) (s *service) {
	b.Helper()
	b.inOwner(func() { s = b.services.Named(name) })
	return s
}

// is asserts the state of a service and a part of its reason.
func (b *bench) is(s *service, state control.State, reason string) {
	b.Helper()
	b.inOwner(func() {
		if s.State() != state || s.Reason() != reason {
			b.Errorf("%s is %v because of %q, want %v, %q",
				s.Spec().Name, s.State(), s.Reason(), state, reason)
		}
	})
}

// pidOf is the pid of the main process of s.
func (b *bench) pidOf(s *service) (pid int) {
	b.Helper()
	b.inOwner(func() { pid = s.PID() })
	return pid
}

var errShort = &spawn.StepError{Step: spawn.StepFork, Err: syscall.EAGAIN}

func isNot(t *testing.T, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v is not %v", err, want)
	}
}

func requires(names ...string) func(*spec.Service) {
	return func(c *spec.Service) { c.Requires = names }
}

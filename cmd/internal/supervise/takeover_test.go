package supervise

import (
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
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// others are the processes of a fake system that are not our children.
type others struct {
	mu      sync.Mutex
	live    map[int]other // by pid
	report  func([]sys.ExitEvent)
	watched map[uint64]*fakeHandle
	signals []string
	deaf    bool
	status  syscall.WaitStatus // of those that end
	known   bool               // the kernel tells it
}

type other struct {
	pidfd      uint64
	invocation string
	session    int
}

type fakeHandle struct {
	o   *others
	pid int
	id  uint64
}

func (h *fakeHandle) ID() (uint64, error) { return h.id, nil }
func (h *fakeHandle) Close() error        { return nil }

func (h *fakeHandle) Exited() (bool, error) {
	h.o.mu.Lock()
	defer h.o.mu.Unlock()
	return h.o.live[h.pid].pidfd != h.id, nil
}

func (h *fakeHandle) ExitStatus() (syscall.WaitStatus, bool, error) {
	return h.o.status, h.o.known, nil
}

func (h *fakeHandle) Signal(sig syscall.Signal) error {
	if dead, _ := h.Exited(); dead {
		return syscall.ESRCH
	}
	if sig == syscall.SIGCONT {
		return nil
	}
	h.o.mu.Lock()
	h.o.signals = append(h.o.signals, fmt.Sprintf("%d %s", h.pid, sys.SignalName(sig)))
	deaf := h.o.deaf && sig != syscall.SIGKILL
	h.o.mu.Unlock()
	if !deaf {
		h.o.die(h.pid)
	}
	return nil
}

// die ends a process and tells of it.
func (o *others) die(pid int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := o.live[pid].pidfd
	delete(o.live, pid)
	for key, h := range o.watched {
		if h.id == id {
			delete(o.watched, key)
			go o.report([]sys.ExitEvent{{Key: key, Reaped: true}})
		}
	}
}

func (o *others) Add(h children.Handle, key uint64) error {
	o.watched[key] = h.(*fakeHandle)
	return nil
}
func (o *others) Close() error { return nil }

// known is what an earlier supervisor has left that knew one service.
func known(r kept.Record) kept.Left {
	return kept.Left{Found: persist.Found[kept.Record]{There: true,
		Records: map[string]kept.Record{r.Name: r}}}
}

// inheriting is a bench with a system on which others live.
func inheriting(t *testing.T) (*bench, *others) {
	b := newBench(t)
	o := &others{live: map[int]other{}, watched: map[uint64]*fakeHandle{}}
	b.shared.Kernel.Hold = func(pid int) (children.Handle, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		p, ok := o.live[pid]
		if !ok {
			return nil, syscall.ESRCH
		}
		return &fakeHandle{o, pid, p.pidfd}, nil
	}
	b.shared.Kernel.Exits = func(report func([]sys.ExitEvent)) (children.ExitWatch, error) {
		o.report = report
		return o, nil
	}
	b.shared.Kernel.Processes = func() (list []sys.ProcStat, err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		for pid, p := range o.live {
			list = append(list,
				sys.ProcStat{PID: pid, PPID: 1, Session: p.session, StartTime: p.pidfd})
		}
		return list, nil
	}
	stat := b.shared.Kernel.Stat
	b.shared.Kernel.Stat = func(pid int) (sys.ProcStat, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if p, ok := o.live[pid]; ok {
			return sys.ProcStat{PID: pid, PPID: 1, Session: p.session, StartTime: p.pidfd}, nil
		}
		return stat(pid)
	}
	b.shared.Kernel.Environ = func(pid int) ([]string, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return []string{children.InvocationVariable + o.live[pid].invocation}, nil
	}
	return b, o
}

// TestTakeover has a supervisor go on from each state in which its predecessor may have been
// killed.
func TestTakeover(t *testing.T) {
	const pid = 50
	was := children.Identity{PID: pid, Pidfd: 7}
	alive := map[int]other{pid: {pidfd: 7, invocation: "inv", session: pid}}
	stranger := map[int]other{pid: {pidfd: 8, session: pid}}
	running := func(state control.State, change ...func(*kept.Record)) kept.Record {
		r := kept.Record{Name: "s", Record: lifecycle.Record{
			State: state, Wanted: true, Invocation: "inv", Main: was, Session: pid,
			Started: time.Now(), Restarts: 3,
		}}
		for _, f := range change {
			f(&r)
		}
		return r
	}
	bare := func(r *kept.Record) { r.Main, r.Session = children.Identity{}, 0 }
	for name, tt := range map[string]struct {
		spec   func(*spec.Service)
		record kept.Record
		live   map[int]other
		before func(b *bench)
		then   func(b *bench, s *service, o *others)
		want   string // state, whether it has the old pid, restarts, signals
	}{
		"stopped": {
			record: kept.Record{Name: "s", Held: true, Record: lifecycle.Record{State: "stopped"}},
			want:   "stopped - 0 []",
		},
		"stopped and wanted": {
			record: kept.Record{Name: "s",
				Record: lifecycle.Record{State: "stopped", Wanted: true}},
			want: "starting new 0 []",
		},
		"waiting": {
			record: kept.Record{Name: "s",
				Record: lifecycle.Record{State: "waiting", Wanted: true}},
			want: "starting new 0 []",
		},
		"waiting for what is down": {
			spec: requires("gone"),
			record: kept.Record{Name: "s",
				Record: lifecycle.Record{State: "waiting", Wanted: true}},
			want: "waiting - 0 []",
		},
		"failed": {
			record: kept.Record{Name: "s",
				Record: lifecycle.Record{State: "failed", Wanted: true, Restarts: 9}},
			want: "failed - 9 []",
		},
		"about to be started": {record: running("starting", bare), want: "starting new 3 []"},
		"just started": {record: running("starting", bare), live: alive,
			want: "starting old 3 []"},
		"starting": {record: running("starting"), live: alive,
			want: "starting old 3 []"},
		"starting, and dead": {record: running("starting"), want: "starting new 4 []"},
		"ready":              {record: running("ready"), live: alive, want: "ready old 3 []"},
		"ready, and dead":    {record: running("ready"), want: "starting new 4 []"},
		"ready, and a stranger": {record: running("ready"), live: stranger,
			want: "starting new 4 []"},
		"ready, dead, not again": {spec: func(s *spec.Service) { s.Restart = spec.RestartNo },
			record: running("ready"), want: "failed - 3 []"},
		"a oneshot that remains": {
			spec:   func(s *spec.Service) { s.Type, s.Remain = spec.Oneshot, true },
			record: running("ready", bare), want: "ready - 3 []",
		},
		"ended for want of us": {spec: func(s *spec.Service) { s.Orphan = spec.OrphanEnd },
			record: running("ready"), want: "starting new 3 []"},
		"not ended for want of us": {spec: func(s *spec.Service) { s.Orphan = spec.OrphanEnd },
			record: running("ready"), live: alive, want: "starting new 3 [50 SIGTERM]"},
		"stopping, asked to": {
			record: running("stopping", func(r *kept.Record) { r.Wanted, r.Step = false, 1 }),
			live:   alive, want: "stopped - 3 [50 SIGTERM]",
		},
		"stopping, not asked yet": {
			record: running("stopping", func(r *kept.Record) { r.Wanted = false }), live: alive,
			want: "stopped - 3 [50 SIGTERM]",
		},
		"stopping, to come again": {
			record: running("stopping", func(r *kept.Record) { r.Again, r.Step = true, 1 }),
			live:   alive, want: "starting new 3 [50 SIGTERM]",
		},
		"stopping, and dead": {
			record: running("stopping", func(r *kept.Record) { r.Wanted = false }),
			want:   "stopped - 3 []",
		},
		"stopping, and a stranger": {
			record: running("stopping", func(r *kept.Record) { r.Wanted = false }), live: stranger,
			want: "stopped - 3 []",
		},
		"stopping, only the rest": {
			record: running("stopping", bare, func(r *kept.Record) { r.Wanted = false }),
			live:   map[int]other{60: {pidfd: 9, invocation: "inv", session: 60}},
			want:   "stopped - 3 [60 SIGTERM]",
		},
		"dead, but for the rest": {
			record: running("ready"),
			live:   map[int]other{60: {pidfd: 9, invocation: "inv", session: 60}},
			want:   "starting new 4 [60 SIGTERM]",
		},
		"strangers in its session": {record: running("ready"),
			live: map[int]other{pid: alive[pid], 60: {pidfd: 9, session: pid}},
			then: func(_ *bench, _ *service, o *others) { o.die(pid) }, want: "starting new 4 []"},
		"cannot be proven": {record: running("ready", func(r *kept.Record) { r.Main.Pidfd = 0 }),
			live: alive, want: "failed - 3 []"},
		"cannot be held": {record: running("ready",
			func(r *kept.Record) { r.Main = children.Identity{PID: pid, Start: 7} }), live: alive,
			before: func(b *bench) {
				b.shared.Kernel.Hold = func(int) (children.Handle, error) {
					return nil, errors.ErrUnsupported
				}
			}, want: "failed - 3 []"},
		"could not be held, is gone": {record: running("ready",
			func(r *kept.Record) { r.Main = children.Identity{PID: pid, Start: 7} }),
			live: stranger, before: func(b *bench) {
				b.shared.Kernel.Hold = func(int) (children.Handle, error) {
					return nil, errors.ErrUnsupported
				}
			}, want: "starting new 4 []"},
		"being removed": {
			record: running("stopping", func(r *kept.Record) { r.Removed, r.Wanted = true, false }),
			live:   alive, want: "stopped - 3 [50 SIGTERM]",
		},
		"says that it is ready": {record: running("starting"), live: alive,
			then: func(b *bench, s *service, _ *others) {
				b.heard(s.PID(), notify.Message{Ready: true})
			}, want: "ready old 3 []"},
		"has said that it is ready": {record: running("starting"), live: alive,
			then: func(*bench, *service, *others) { time.Sleep(31 * time.Second) },
			want: "ready old 3 []"},
		"ends well later": {
			record: running("ready"), live: alive,
			then: func(_ *bench, _ *service, o *others) { o.known = true; o.die(pid) },
			want: "stopped - 3 []",
		},
		"ends somehow later": {record: running("ready"), live: alive,
			then: func(_ *bench, _ *service, o *others) { o.die(pid) }, want: "starting new 4 []"},
		"in backoff": {
			record: kept.Record{Name: "s", Record: lifecycle.Record{State: "backoff", Wanted: true,
				Crashes: 3, Next: time.Now().Add(time.Hour)}},
			want: "backoff - 0 []",
		},
		"in backoff, over": {
			record: kept.Record{Name: "s",
				Record: lifecycle.Record{State: "backoff", Wanted: true, Crashes: 3}},
			want: "starting new 0 []",
		},
		"in backoff, a clock set": {
			record: kept.Record{Name: "s", Record: lifecycle.Record{State: "backoff", Wanted: true,
				Crashes: 3, Next: time.Now().Add(time.Hour)}},
			then: func(*bench, *service, *others) { time.Sleep(31 * time.Second) },
			want: "starting new 0 []",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, o := inheriting(t)
				for pid, p := range tt.live {
					o.live[pid] = p
				}
				described := plain("s", func(s *spec.Service) {
					s.Restart = spec.RestartOnFailure
					if tt.spec != nil {
						tt.spec(s)
					}
				})
				s := b.put(described)
				tt.record.Started = time.Now()
				if tt.before != nil {
					tt.before(b)
				}
				tt.record.Name = "s"
				b.takeOver(known(tt.record), nil)
				end := b.run()
				defer func() {
					if err := end(); err != nil {
						t.Error(err)
					}
					if p, ok := o.live[pid]; ok && p.pidfd == 8 && len(o.signals) > 0 {
						t.Errorf("signals to others: %v", o.signals)
					}
				}()
				b.inOwner(func() {})
				if tt.then != nil {
					b.inOwner(func() {
						if strings.Contains(tt.want, "old") && s.PID() != pid {
							t.Errorf("process %d", s.PID())
						}
					})
					if name == "says that it is ready" {
						b.inOwner(func() { tt.then(b, s, o) })
					} else {
						tt.then(b, s, o)
					}
				}
				time.Sleep(100 * time.Millisecond) // of a synthetic clock: sweeps
				b.inOwner(func() {
					which := "-"
					if s.PID() == pid {
						which = "old"
					} else if s.PID() != 0 {
						which = "new"
					}
					if got := fmt.Sprintf("%v %s %d %v",
						s.State(), which, s.Restarts(), slices.Clone(o.signals)); got != tt.want {
						t.Errorf("%s (%s), want %s", got, s.Reason(), tt.want)
					}
				})
			})
		})
	}
}

// What the predecessor has left is not touched before all of it is taken in, and where a service
// was is no event: it has been there all the time.
func TestPlacedIsNotNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := inheriting(t)
		o.live[50] = other{pidfd: 7, session: 50}
		s := b.put(plain("s"))
		since := time.Now().Add(-time.Hour)
		b.takeOver(known(kept.Record{
			Name: "s", Record: lifecycle.Record{
				State: Ready, Wanted: true, Since: since,
				Main:    children.Identity{PID: 50, Pidfd: 7},
				Session: 50,
			},
		}), nil)
		if b.keeper.Journal.Busy() {
			t.Error("the journal is written before the engine runs")
		}
		end := b.run()
		b.inOwner(func() {
			if s.State() != Ready || !s.Since().Equal(since) {
				t.Errorf("%v since %v", s.State(), s.Since())
			}
		})
		past, sub, err := b.Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		sub.Close()
		for _, ev := range past {
			if ev.Kind == control.EventState && ev.From != ev.State {
				t.Errorf("told that it has become %v: %+v", ev.State, ev)
			}
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

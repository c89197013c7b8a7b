package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// script is a program whose doings are written down: each is the case until its time, since the
// script began.
type script struct {
	began   time.Time
	doings  []scripted
	listens time.Duration // from when on it does; 0: never
	asks    time.Duration // until when it is connecting
	err     error
	last    time.Time
	looks   int
}

type scripted struct {
	until   time.Duration
	running bool
	share   float64 // of a processor, that is used
	waits   float64 // of the time, for a processor
	changes bool
}

func (s *script) Look() (sys.Doing, error) {
	now := time.Now()
	d := sys.Doing{Changed: s.looks == 0}
	if s.looks++; s.last.IsZero() {
		s.last = now
	}
	for _, what := range s.doings {
		if now.Sub(s.began) < what.until {
			d.Running, d.Used = what.running, time.Duration(what.share*float64(now.Sub(s.last)))
			d.Changed = d.Changed || what.changes
			d.Waited = time.Duration(what.waits * float64(now.Sub(s.last)))
			break
		}
	}
	s.last = now
	return d, s.err
}

func (s *script) Sockets() (listens bool, asks string) {
	age := time.Since(s.began)
	if age < s.asks {
		asks = "it is connecting to [::1]:1"
	}
	return s.listens > 0 && age >= s.listens, asks
}

const forGood = time.Hour

// TestSettled: when which program is up, and what is said about it.
func TestSettled(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		script
		check     Check
		from, to  time.Duration
		note      string
		mostLooks int
	}{
		"at rest at once": {from: 250 * ms, to: 260 * ms, mostLooks: 8},
		"loads": {
			script: script{doings: []scripted{{until: 700 * ms, running: true, share: 1}}},
			from:   940 * ms, to: 975 * ms,
		},
		"waits for the processor": {
			script: script{doings: []scripted{{until: 700 * ms, running: true}}},
			from:   940 * ms, to: 975 * ms,
		},
		"uses it between the looks": {
			script: script{doings: []scripted{{until: 700 * ms, share: 0.5}}},
			from:   940 * ms, to: 975 * ms,
		},
		"starts others": {
			script: script{doings: []scripted{{until: 700 * ms, changes: true}}},
			from:   940 * ms, to: 975 * ms,
		},
		"a trace": {script: script{doings: []scripted{{until: forGood, share: 0.002}}},
			from: 250 * ms, to: 260 * ms},
		"rests too short": {
			script: script{doings: []scripted{{until: 50 * ms, running: true}, {until: 240 * ms},
				{until: 300 * ms, running: true}}},
			from: 540 * ms, to: 575 * ms,
		},
		"listens": {script: script{listens: 30 * ms}, from: 100 * ms, to: 110 * ms},
		"listens and loads": {
			script: script{listens: 30 * ms, doings: []scripted{{until: 500 * ms, running: true}}},
			from:   590 * ms, to: 625 * ms,
		},
		"connects": {script: script{asks: 2 * time.Second}, from: 2100 * ms,
			to: 2400 * ms},
		"connects and listens": {script: script{asks: 2 * time.Second, listens: 1}, from: 2000 * ms,
			to: 2200 * ms},
		"connects for ever": {
			script: script{asks: forGood},
			from:   10 * time.Second, to: 10 * time.Second,
			note: "counts as up: alive for 10s; it is connecting to [::1]:1",
		},
		"ticks": {
			script: script{doings: []scripted{{until: forGood, share: 0.05}}},
			from:   1500 * ms, to: 2100 * ms,
			note: "counts as up: it is never at rest for 250ms, and does little",
		},
		"ticks and wants more": {
			script: script{doings: []scripted{{until: forGood, share: 0.05, running: true}}},
			from:   10 * time.Second, to: 10 * time.Second, note: "counts as up: busy for 10s",
		},
		"calculates": {
			script: script{doings: []scripted{{until: forGood, running: true, share: 4}}},
			from:   10 * time.Second, to: 10 * time.Second, note: "counts as up: busy for 10s",
		},
		"loads slowly": {
			script: script{doings: []scripted{
				{until: 15 * time.Second, running: true, share: 0.4, waits: 0.6},
			}},
			from: 15240 * ms, to: 15280 * ms,
		},
		"calculates slowly": {
			script: script{
				doings: []scripted{{until: forGood, running: true, share: 0.4, waits: 0.6}},
			},
			from: 20 * time.Second, to: 20 * time.Second, note: "counts as up: busy for 20s",
		},
		"calculates, has said so": {
			check:  Check{}.Told(),
			script: script{doings: []scripted{{until: forGood, running: true, share: 1}}},
			from:   5 * time.Second, to: 5 * time.Second, note: "counts as up: busy for 5s",
		},
		"calculates, less time": {
			check:  Check{Bound: 3 * time.Second},
			script: script{doings: []scripted{{until: forGood, running: true, share: 4}}},
			from:   3 * time.Second, to: 3 * time.Second, note: "counts as up: busy for 3s",
		},
		"another window": {check: window(time.Minute), from: time.Minute, to: time.Minute + 100*ms},
		"a short window": {check: window(20 * ms), from: 20 * ms, to: 35 * ms},
		"hidden": {
			script: script{err: sys.ErrHidden},
			from:   time.Second, to: time.Second, note: "counts as up: alive for 1s; whether it " +
				"has come to rest cannot be seen: /proc hides it",
		},
		"unseen, a longer window": {
			check: window(3 * time.Second), script: script{err: errors.ErrUnsupported},
			from: 3 * time.Second, to: 3 * time.Second, note: "counts as up: alive for 3s; " +
				"whether it has come to rest cannot be seen: this system does not tell",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := c.script
				s.began = time.Now()
				up := make(chan string, 1)
				var w Resting
				w.Watch(c.check, &s, func(note string) { up <- note })
				note := <-up
				if took := time.Since(s.began); took < c.from || took > c.to || note != c.note {
					t.Errorf("up after %v, %q; want %v to %v, %q", took, note, c.from, c.to, c.note)
				}
				if c.mostLooks > 0 && s.looks > c.mostLooks {
					t.Errorf("%d looks", s.looks)
				}
			})
		})
	}
}

// TestRestingManyAndStopped: each is told once, in its time; who is stopped is not; and nobody is
// left waiting.
func TestRestingManyAndStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Resting
		var mu sync.Mutex
		told := map[int]time.Duration{}
		began := time.Now()
		for i := range 500 {
			s := &script{began: began, doings: []scripted{
				{until: time.Duration(i) * 5 * time.Millisecond, running: true},
			}}
			stop := w.Watch(Check{}, s, func(string) {
				mu.Lock()
				defer mu.Unlock()
				if _, twice := told[i]; twice {
					t.Errorf("%d twice", i)
				}
				told[i] = time.Since(began)
			})
			if i%10 == 7 {
				stop()
				stop()
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(told) != 450 {
			t.Errorf("%d were told", len(told))
		}
		for i, at := range told {
			due := time.Duration(i)*5*time.Millisecond + DefaultWindow
			if i%10 == 7 || at < due-15*time.Millisecond || at > due+60*time.Millisecond {
				t.Errorf("%d, due at %v: at %v", i, due, at)
			}
		}
		if w.serving {
			t.Error("nobody is left to watch, and the goroutine is still there")
		}
	})
}

// TestLooksCostLittle: a slow look is followed by a long pause.
func TestLooksCostLittle(t *testing.T) {
	now := time.Now()
	r := newRest(Check{}, &script{began: now}, now)
	_, next := r.judge(now, 40*time.Millisecond, sys.Doing{Running: true})
	if next < 400*time.Millisecond {
		t.Errorf("the next look in %v", next)
	}
}

// TestSettledReally: a program that loads for a second and fails is not called up; one at rest is.
func TestSettledReally(t *testing.T) {
	// A shell that calculates for a second or so, and fails.
	cmd := exec.Command("/bin/sh", "-c",
		"i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 3")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- Wait(ctx, ask(spec.ProbeSettled, ""), Env{PID: cmd.Process.Pid}) }()
	_ = cmd.Wait() // 3
	cancel(errors.New("it died"))
	var not *NotReadyError
	if err := <-done; !errors.As(err, &not) ||
		!strings.Contains(fmt.Sprint(err), "settled: not ready: it has not come to rest") {
		t.Errorf("%v", err)
	}

	cmd = exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	note := ""
	if err := Wait(within(t), ask(spec.ProbeSettled, ""),
		Env{PID: cmd.Process.Pid, Note: func(s string) { note = s }}); err != nil || note != "" {
		t.Errorf("%v, %q", err, note)
	}
}

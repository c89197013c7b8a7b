//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// figures are what one run of one supervisor gave.
type figures struct {
	started      time.Duration // until the last service ran
	pss          int64         // bytes, of all processes but the services
	processes    int
	threads      int
	descriptors  int
	idle         float64 // of one processor; NaN if not watched
	p50, p99     time.Duration
	statusTime   time.Duration // 0 if there is none
	stopped      time.Duration // until the last service and the supervisor were gone
	lateRestarts int           // killed, and not back within the limit
}

// errNone is the answer of what cannot be asked.
var errNone = errors.New("there is no such command")

// gaveUpError says that a supervisor did not reach something in time.
type gaveUpError struct{ what string }

func (e *gaveUpError) Error() string { return "not reached: " + e.what }

// mark is the variable by which everything that belongs to a run is found.
const mark = "BENCH_SLOTS="

// measure runs m with n services, once.
func (o options) measure(bin string, m manager, n int, idle bool) (f figures, err error) {
	dir, err := os.MkdirTemp(bin, "r")
	if err != nil {
		return f, err
	}
	file := dir + ".slots"
	s, err := makeSlots(file, n)
	if err != nil {
		return f, err
	}
	p := &place{dir: dir, bin: bin, service: bin + "/service", n: n, env: append(os.Environ(),
		mark+file)}
	defer func() {
		err = errors.Join(err, endAll(file), s.remove(), os.RemoveAll(dir))
	}()
	if err := m.prepare(p); err != nil {
		return f, err
	}
	if f.started, err = o.timeStart(p, m, s); err != nil {
		return f, err
	}
	settled := time.Now()
	if f.statusTime, err = timeStatus(p, m); err != nil {
		return f, err
	}
	// runit and s6 wait a second before they restart what did not live that long; daemonry gives
	// memory back after five.
	time.Sleep(time.Until(settled.Add(7 * time.Second)))
	services, err := s.pids()
	if err != nil {
		return f, err
	}
	managers := slices.DeleteFunc(marked(file), func(pid int) bool { return services[pid] })
	f.idle = math.NaN()
	if idle {
		before, began := processorTime(managers), time.Now()
		time.Sleep(o.idle)
		f.idle = float64(processorTime(managers)-before) / float64(time.Since(began))
	}
	for _, pid := range managers {
		f.add(pid)
	}
	if err := o.timeRestarts(&f, s); err != nil {
		return f, err
	}
	f.stopped, err = o.timeStop(p, m, s, managers)
	return f, err
}

func (o options) timeStart(p *place, m manager, s slots) (time.Duration, error) {
	began := time.Now()
	returned := make(chan error, 1)
	go func() { returned <- m.start(p) }()
	limit := time.NewTimer(o.limit)
	defer limit.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	var err error
	for up, pending := 0, true; pending || up < s.n; {
		select {
		case err = <-returned: // daemonry does when all are ready
			pending, returned = false, nil
		case <-limit.C:
			err = fmt.Errorf("within %v", o.limit)
		case <-look.C:
			up, err = s.up(up)
		}
		if err != nil {
			return 0, &gaveUpError{fmt.Sprintf("%d or more of %d services up: %v", up, s.n, err)}
		}
	}
	last, err := s.lastStart()
	if err != nil {
		return 0, err
	}
	now, err := sys.Monotonic()
	return time.Since(began) - (now - last), err
}

func timeStatus(p *place, m manager) (time.Duration, error) {
	var times []time.Duration
	for range 3 {
		began := time.Now()
		err := m.status(p)
		if errors.Is(err, errNone) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	return slices.Min(times), nil
}

// timeRestarts kills services one after the other, each once. What takes a second for each, as
// supervisord and s6 do, is killed less often.
func (o options) timeRestarts(f *figures, s slots) error {
	var times []time.Duration
	began := time.Now()
	for _, i := range rand.Perm(s.n)[:min(s.n, o.kills)] {
		if time.Since(began) > 15*time.Second {
			break
		}
		pid, _, err := s.read(i)
		if err != nil {
			return err
		}
		killed, err := sys.Monotonic()
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill service %d: %w", i, err)
		}
		started, err := s.awaitNext(i, pid)
		if err != nil {
			return err
		}
		if started == 0 {
			f.lateRestarts++
			continue
		}
		times = append(times, started-killed)
		time.Sleep(5 * time.Millisecond)
	}
	if slices.Sort(times); len(times) > 0 {
		f.p50, f.p99 = times[len(times)/2], times[len(times)*99/100]
	}
	return nil
}

// awaitNext returns when the process after pid started as service i, 0 if none does.
func (s slots) awaitNext(i, pid int) (time.Duration, error) {
	deadline := time.Now().Add(20 * time.Second)
	for ; time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if next, started, err := s.read(i); err != nil || next != pid {
			return started, err
		}
	}
	return 0, nil
}

func (o options) timeStop(p *place, m manager, s slots, managers []int) (time.Duration, error) {
	services, err := s.pids()
	if err != nil {
		return 0, err
	}
	var all []sys.ProcStat
	for _, pid := range slices.AppendSeq(slices.Clone(managers), maps.Keys(services)) {
		if stat, err := sys.ReadStat(pid); err == nil {
			all = append(all, stat)
		}
	}
	began := time.Now()
	if err := m.stop(p); err != nil {
		return 0, fmt.Errorf("stop: %w", err)
	}
	for _, process := range all {
		for !gone(process) {
			if time.Since(began) > o.limit {
				return 0, &gaveUpError{fmt.Sprintf("all stopped in %v", o.limit)}
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Since(began), nil
}

// gone says whether a process has ended; its number may be another's by now.
func gone(p sys.ProcStat) bool {
	stat, err := sys.ReadStat(p.PID)
	return err != nil || stat.Exited() || stat.StartTime != p.StartTime
}

// endAll kills what a run left behind, as long as there is something.
func endAll(file string) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		pids := slices.DeleteFunc(marked(file), func(pid int) bool {
			stat, err := sys.ReadStat(pid)
			return err != nil || stat.Exited()
		})
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes do not end", len(pids))
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // may have ended
		}
	}
}

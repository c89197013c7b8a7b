package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// set is the running logger of one run: one process for all services, or one for each.
type set struct {
	procs    []*exec.Cmd
	ends     []*os.File   // the services' standard output, one each
	stop     func() error // tells the process to finish; nil when the end of its input does
	produces bool         // the logger has started the producers
}

func begin(dir string, l logger, j job) (*set, error) {
	for i := range j.services {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint("svc", i)), 0o755); err != nil {
			return nil, err
		}
	}
	if l.start != nil {
		return l.start(dir, j)
	}
	s := &set{}
	argv := l.args(j.format)
	for i := range j.services {
		r, w, err := os.Pipe()
		if err != nil {
			return s, err
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir, cmd.Stdin, cmd.Stderr = filepath.Join(dir, fmt.Sprint("svc", i)), r, os.Stderr
		err = cmd.Start()
		r.Close()
		if err != nil {
			return s, err
		}
		s.procs, s.ends = append(s.procs, cmd), append(s.ends, w)
	}
	return s, nil
}

// finish ends the logger and returns the CPU time it used, its children not counted.
func (s *set) finish() (time.Duration, error) {
	for _, f := range s.ends {
		f.Close()
	}
	if s.stop != nil {
		if err := s.stop(); err != nil {
			return 0, err
		}
	}
	var cpu time.Duration
	for _, c := range s.procs {
		err := c.Wait()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", c.Args[0], err)
		}
		cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	return cpu, nil
}

func (s *set) pss() int64 {
	var sum int64
	for _, c := range s.procs {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", c.Process.Pid))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				sum += n
			}
		}
	}
	return sum
}

// cpuNow reads the time a process has used so far, without its children: wait4 would add what
// supervisord's producers used.
func cpuNow(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ
}

func resultPath(dir string, i int) string { return filepath.Join(dir, fmt.Sprint("result", i)) }

func run(base string, l logger, j job) result {
	dir, err := os.MkdirTemp(base, l.name+"-")
	if err != nil {
		return result{err: err}
	}
	defer os.RemoveAll(dir)
	s, err := begin(dir, l, j)
	if err != nil {
		return result{err: err}
	}
	each := j.bytes / int64(j.services)
	var producers []*exec.Cmd
	for i, end := range s.ends {
		cmd := exec.Command(os.Args[0], strconv.FormatInt(each, 10), strconv.Itoa(j.write),
			resultPath(dir, i))
		cmd.Env = append(os.Environ(), roleEnv+"=produce")
		cmd.Stdout, cmd.Stderr = end, os.Stderr
		if err := cmd.Start(); err != nil {
			return result{err: err}
		}
		producers = append(producers, cmd)
	}
	for _, p := range producers {
		if err := p.Wait(); err != nil {
			return result{err: fmt.Errorf("producer: %w", err)}
		}
	}
	first, last, err := results(dir, j.services)
	if err != nil {
		return result{err: err}
	}
	r := result{
		mbs: float64(each*int64(j.services)) / 1e6 / last.Sub(first).Seconds(),
		pss: s.pss(),
	}
	if err := stored(dir, l, j, each); err != nil {
		return result{err: err}
	}
	var cpu time.Duration
	if s.produces {
		cpu = cpuNow(s.procs[0].Process.Pid)
	}
	used, err := s.finish()
	if err != nil {
		return result{err: err}
	}
	if !s.produces {
		cpu = used
	}
	r.cpu = cpu.Seconds() / (float64(j.bytes) / 1e9)
	return r
}

// results waits for what the producers say: the first one's begin and the last one's end.
func results(dir string, n int) (first, last time.Time, err error) {
	deadline := time.Now().Add(5 * time.Minute)
	for i := range n {
		var b []byte
		for {
			if b, err = os.ReadFile(resultPath(dir, i)); err == nil {
				break
			}
			if time.Now().After(deadline) {
				return first, last, fmt.Errorf("producer %d did not finish in 5 minutes", i)
			}
			time.Sleep(time.Millisecond)
		}
		var from, to int64
		if _, err := fmt.Sscan(string(b), &from, &to); err != nil {
			return first, last, err
		}
		if f := time.Unix(0, from); first.IsZero() || f.Before(first) {
			first = f
		}
		if t := time.Unix(0, to); t.After(last) {
			last = t
		}
	}
	return first, last, nil
}

// stored waits until a plain log is in its files to the last byte: who drops lines is not fast.
func stored(dir string, l logger, j job, each int64) error {
	if j.format != "plain" || l.name == "svlogd" || l.name == "s6-log" || l.name == "multilog" {
		return nil // those keep the rest in a buffer until they end, and rotate
	}
	deadline := time.Now().Add(time.Minute)
	for i := range j.services {
		for {
			fi, err := os.Stat(filepath.Join(dir, fmt.Sprint("svc", i), "current"))
			if err == nil && fi.Size() == each {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("service %d: log incomplete after a minute", i)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// memory is what a logger takes for n services that say nothing.
func memory(base string, l logger, n int) (int64, error) {
	dir, err := os.MkdirTemp(base, l.name+"-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s, err := begin(dir, l, job{format: "plain", services: n})
	if err != nil {
		return 0, err
	}
	if s.produces {
		s.finish()
		return 0, errors.New("starts its services itself: not measured")
	}
	time.Sleep(time.Second) // until all have come up
	pss := s.pss()
	_, err = s.finish()
	return pss, err
}

// latency writes a line every 20 ms and sees when each is in the file.
func latency(base string, l logger) ([]time.Duration, error) {
	dir, err := os.MkdirTemp(base, l.name+"-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := begin(dir, l, job{format: "plain", services: 1, write: 100})
	if err != nil {
		return nil, err
	}
	if s.produces {
		s.finish()
		return nil, errors.New("starts its services itself: not measured")
	}
	path := filepath.Join(dir, "svc0", "current")
	line := []byte(strings.Repeat("x", 99) + "\n")
	var delays []time.Duration
	for i := range 200 {
		from := time.Now()
		if _, err := s.ends[0].Write(line); err != nil {
			return nil, err
		}
		for {
			fi, err := os.Stat(path)
			if err == nil && fi.Size() >= int64((i+1)*len(line)) {
				break
			}
			if time.Since(from) > 2*time.Second {
				s.finish()
				return nil, fmt.Errorf("a line was not in the file after 2 s: it is buffered")
			}
			time.Sleep(20 * time.Microsecond)
		}
		delays = append(delays, time.Since(from))
		time.Sleep(20 * time.Millisecond)
	}
	_, err = s.finish()
	return delays, err
}

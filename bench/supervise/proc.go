//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// marked lists the processes that were started with the file's name in their environment, and the
// supervisor whose DAEMONRY_ROOT is below the run's directory: one that a command starts has
// nothing else of that command's environment.
func marked(file string) (pids []int) {
	self := os.Getpid()
	marks := [][]byte{[]byte("\x00" + mark + file + "\x00"),
		[]byte("\x00DAEMONRY_ROOT=" + strings.TrimSuffix(file, ".slots") + "/")}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == self {
			continue
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		env = append([]byte{0}, env...)
		if err == nil &&
			slices.ContainsFunc(marks, func(m []byte) bool { return bytes.Contains(env, m) }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// add adds what a process of the supervisor uses. One that has ended uses nothing.
func (f *figures) add(pid int) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return
	}
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	f.processes++
	f.threads += len(tasks)
	f.descriptors += len(open)
	f.pss += proportional(pid)
}

// proportional reads how much memory a process has, with its part of what it
// shares (Pss of proc_pid_smaps_rollup(5), Linux 4.14), in bytes.
func proportional(pid int) int64 {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), "Pss: %d kB", &kib); n == 1 {
			return kib * 1024
		}
	}
	return 0
}

// processorTime adds up how long the processes' threads have run. It is read from schedstat, in
// nanoseconds; stat has hundredths of a second, in which what is idle would be lost.
func processorTime(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range files {
			data, err := os.ReadFile(file)
			var ns int64
			if _, scanErr := fmt.Sscan(string(data), &ns); err == nil && scanErr == nil {
				sum += time.Duration(ns)
			}
		}
	}
	return sum
}

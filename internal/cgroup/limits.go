package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/daemonry/daemonry/spec"
)

// cpuPeriod is the time, in microseconds, within which a limit of processor time holds: the
// kernel's own default.
const cpuPeriod = 100000

// control is one limit in the kernel's terms.
type control struct {
	field, controller, file string
	value                   string // "" if there is no such limit
	none                    string // what lifts it
}

// controls are the limits that the kernel watches over.
func controls(l spec.Limits) []control {
	count := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	list := []control{
		{"memory", "memory", "memory.max", count(int64(l.Memory)), "max"},
		{"memory_high", "memory", "memory.high", count(int64(l.MemoryHigh)), "max"},
		{"swap", "memory", "memory.swap.max", "", "max"},
		{"cpus", "cpu", "cpu.max", "", "max"},
		{"cpu_weight", "cpu", "cpu.weight", count(int64(l.CPUWeight)), "100"},
		{"io_weight", "io", "io.weight", count(int64(l.IOWeight)), "100"},
		{"tasks", "pids", "pids.max", count(int64(l.Tasks)), "max"},
	}
	if l.Swap != nil {
		list[2].value = strconv.FormatInt(int64(*l.Swap), 10) // 0 is a limit, too
	}
	if l.CPUs > 0 {
		// the kernel takes no less than 1 ms
		list[3].value = fmt.Sprintf("%d %d", max(1000, int64(l.CPUs*cpuPeriod)), cpuPeriod)
	}
	return list
}

// Limit sets the limits of the group; with lift also those that there are none of any more.
func (g *Group) Limit(l spec.Limits, lift bool) error {
	list := controls(l)
	var needed []string
	for _, c := range list {
		if c.value != "" && !slices.Contains(needed, c.controller) {
			needed = append(needed, c.controller)
		}
	}
	if len(needed) > 0 {
		if err := g.parent.enable(needed); err != nil {
			return fmt.Errorf("limits: %w", err)
		}
	}
	for _, c := range list {
		value := c.value
		if value == "" && lift {
			value = c.none
		}
		if value == "" {
			continue
		}
		var err error
		if c.file == "io.weight" {
			err = g.weigh(value)
		} else {
			err = writeFile(g.Dir, c.file, value)
		}
		if c.value == "" && errors.Is(err, fs.ErrNotExist) {
			continue // it never was
		}
		if err != nil {
			return fmt.Errorf("limits: %s: %w", c.field, err)
		}
	}
	return nil
}

// weigh sets the share of the disks.
func (g *Group) weigh(value string) error {
	err := writeFile(g.Dir, "io.weight", value)
	if errors.Is(err, fs.ErrNotExist) {
		if bfq := writeFile(g.Dir, "io.bfq.weight", bfqWeight(value)); !errors.Is(bfq,
			fs.ErrNotExist) {
			return bfq
		}
	}
	return err
}

// bfqWeight is a weight of io.weight as io.bfq.weight has it, which is there where the scheduler
// BFQ is and the kernel was built without CONFIG_BLK_CGROUP_IOCOST. It ends at 1000, so what is
// above the default, 100 in both, is brought closer, as systemd does.
func bfqWeight(value string) string {
	const standard, most, bfqMost = 100, 10000, 1000
	n, err := strconv.Atoi(value)
	if err != nil || n <= standard {
		return value
	}
	return strconv.Itoa(standard + (n-standard)*(bfqMost-standard)/(most-standard))
}

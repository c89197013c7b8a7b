package sys

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// limitsOf reads /proc/PID/limits (proc(5)), which anybody may: prlimit(2) tells only of processes
// of the same user.
func limitsOf(pid int) (map[string]Rlimit, error) {
	data, err := readProc(pid, "limits")
	if err != nil {
		return nil, err
	}
	return parseLimits(data)
}

// limitNames are the names in that file (fs/proc/base.c), which are padded with blanks.
var limitNames = map[string]string{
	"Max cpu time": "cpu", "Max file size": "fsize", "Max data size": "data", "Max stack size": "stack",
	"Max core file size": "core", "Max resident set": "rss", "Max processes": "nproc", "Max open files": "nofile",
	"Max locked memory": "memlock", "Max address space": "as", "Max file locks": "locks", "Max pending signals": "sigpending",
	"Max msgqueue size": "msgqueue", "Max nice priority": "nice", "Max realtime priority": "rtprio",
	"Max realtime timeout": "rttime",
}

// limitColumn is where the values begin.
const limitColumn = 26

func parseLimits(data []byte) (map[string]Rlimit, error) {
	limits := map[string]Rlimit{}
	for line := range bytes.Lines(data) {
		text := string(line)
		if len(text) < limitColumn {
			continue
		}
		name, known := limitNames[strings.TrimRight(text[:limitColumn], " ")]
		if !known {
			continue // of a newer kernel
		}
		var values [2]uint64
		fields := strings.Fields(text[limitColumn:])
		if len(fields) < 2 {
			return nil, fmt.Errorf("limits: line %q", strings.TrimSpace(text))
		}
		for i := range values {
			if fields[i] == "unlimited" {
				values[i] = RlimitInfinity
				continue
			}
			var err error
			if values[i], err = strconv.ParseUint(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("limits: line %q: %w", strings.TrimSpace(text), err)
			}
		}
		limits[name] = Rlimit{Soft: values[0], Hard: values[1]}
	}
	return limits, nil
}

package proctree

import (
	"errors"

	"github.com/daemonry/daemonry/internal/sys"
)

// Descends says whether a process is, or descends from, one that is wanted: is knows it by its pid
// alone, in by what stat says of it, such as its session. The nearest is asked about first. The
// error is of one that cannot be looked at; one that is gone has no parents.
func Descends(
	pid int, stat func(pid int) (sys.ProcStat, error),
	is func(pid int) bool, in func(sys.ProcStat) bool,
) (bool, error) {
	const most = 64 // of ancestors
	for depth := 0; pid > 1 && depth < most; depth++ {
		if is(pid) {
			return true, nil
		}
		st, err := stat(pid)
		if errors.Is(err, sys.ESRCH) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if in(st) {
			return true, nil
		}
		pid = st.PPID
	}
	return false, nil
}

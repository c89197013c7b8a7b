package spawn

import (
	"os"
	"runtime/debug"

	"github.com/daemonry/daemonry/internal/sys"
)

// crashOutput is the descriptor on which the Go runtime writes what it says of a panic or a fatal
// error a second time (runtime/debug.SetCrashOutput): there it is whole, and nothing else is.
type crashOutput struct {
	fd   int
	file sys.FileState
}

// mostOpened bounds where a file may be that a package has opened before this one: descriptors are
// given out from the lowest number on.
const mostOpened = 64

// crashOutputFree says that the program has no crash output yet. It cannot be asked for; but it is
// open for writing, and in a process just born nothing above standard error is that nobody has
// opened. (The runtime reads the CPU limit of its control group from files that it keeps open.)
func crashOutputFree() bool {
	for fd := 3; fd < mostOpened; fd++ {
		if sys.TakesWords(fd) {
			return false
		}
	}
	return true
}

// setCrashOutput makes fd the crash output, and closes it: the runtime has a copy, at the lowest
// number that is free. If another thread takes that meanwhile, there is no crash output, for it
// could not be told from one of the program's in EndCrashOutput.
func (b *Born) setCrashOutput(fd int) error {
	f := os.NewFile(uintptr(fd), "crash")
	defer f.Close()
	file, err := sys.StatFD(fd)
	if err != nil {
		return err
	}
	free, err := sys.DupAbove(fd, 0)
	if err != nil {
		return err
	}
	if err := sys.CloseFD(free); err != nil {
		return err
	}
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		return err
	}
	if b.crash = (crashOutput{free, file}); !b.crash.isThere() {
		return b.dropCrashOutput()
	}
	return nil
}

func (c crashOutput) isThere() bool {
	file, err := sys.StatFD(c.fd)
	return err == nil && file.Same(c.file)
}

func (b *Born) dropCrashOutput() error {
	b.crash = crashOutput{}
	return debug.SetCrashOutput(nil, debug.CrashOptions{})
}

// EndCrashOutput ends what Birth.Crash began, unless the program has set a crash output of its own:
// then the runtime has closed ours.
func (b *Born) EndCrashOutput() error {
	if b.crash.fd == 0 || !b.crash.isThere() {
		return nil
	}
	return b.dropCrashOutput()
}

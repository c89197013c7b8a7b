package listen

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// first is SD_LISTEN_FDS_START, the number of the first descriptor.
const first = 3

var variables = []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"}

// Take takes over what was handed to this process. It is an empty Set when
// nothing was, or when what the environment says is meant for another process,
// whose descriptors these are not. A variable that is set but empty counts as unset, and
// LISTEN_FDS=0 as nothing.
//
// Call it once and early: every descriptor becomes close-on-exec, and the
// variables are unset whatever the result, so that no child believes them. An
// error means that what was handed over is not what was announced; the
// descriptors then stay open.
func Take() (*Set, error) {
	env := make(map[string]string)
	for _, name := range variables {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
		os.Unsetenv(name) // fails for a malformed name only
	}
	ownID := func() (uint64, error) { return sys.PidfdID(os.Getpid()) }
	names, err := announced(env, os.Getpid(), ownID)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	for i, name := range names {
		kind, err := sys.KindOf(first + i)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d (%s), one of %d announced by LISTEN_FDS: %w",
				first+i, name, len(names), err)
		}
		set.sockets = append(set.sockets, &Socket{Name: name, Kind: kindOf(kind), fd: first + i})
	}
	for _, s := range set.sockets {
		if err := sys.SetCloseOnExec(s.fd, true); err != nil {
			return nil, fmt.Errorf("descriptor %d (%s): %w", s.fd, s.Name, err)
		}
	}
	for _, s := range set.sockets { // only when all are good, or a file's finalizer would close one
		s.file = os.NewFile(uintptr(s.fd), s.Name)
	}
	return set, nil
}

// announced returns the names of the descriptors that the environment announces
// to process pid, as sd_listen_fds_with_names(3) reads it, but for what says none without being
// unset, which is an error there (-EINVAL): an empty variable, and LISTEN_FDS=0. Shells and
// container files clear variables like that, and go-systemd's activation takes both for none.
func announced(env map[string]string, pid int, ownID func() (uint64, error)) ([]string, error) {
	text := env["LISTEN_PID"]
	if text == "" {
		return nil, nil
	}
	if n, err := strconv.ParseInt(text, 10, 32); err != nil || n <= 0 {
		return nil, fmt.Errorf("$LISTEN_PID: %q is not a process id", text)
	} else if int(n) != pid {
		return nil, nil
	}
	if text := env["LISTEN_PIDFDID"]; text != "" {
		want, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("$LISTEN_PIDFDID: %q is not an inode number", text)
		}
		// A pid may have been used again since, this number is not. Where the
		// kernel has none (before Linux 6.9) the pid must do.
		if own, err := ownID(); err == nil && own != want {
			return nil, nil
		}
	}
	if text = env["LISTEN_FDS"]; text == "" {
		return nil, nil
	}
	if err := sys.NeedsUnix("$LISTEN_FDS"); err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > math.MaxInt32-first {
		return nil, fmt.Errorf("$LISTEN_FDS: %q is not a number of descriptors", text)
	}
	if n == 0 {
		return nil, nil
	}
	if text, ok := env["LISTEN_FDNAMES"]; ok { // an empty one is the empty name
		names := strings.Split(text, ":")
		if len(names) != n {
			return nil, fmt.Errorf("$LISTEN_FDNAMES: %d names for %d descriptors", len(names), n)
		}
		return names, nil
	}
	if !sys.DescriptorOpen(first + n - 1) { // before a great number becomes a great slice
		return nil, fmt.Errorf("$LISTEN_FDS: %d descriptors announced, number %d is not open",
			n, first+n-1)
	}
	return slices.Repeat([]string{Unknown}, n), nil
}

package sys

import "golang.org/x/sys/unix"

// openDescriptors counts the open files of this process: the size of the directory that names them
// (Linux 6.2). 0 means that nobody says.
func openDescriptors() int {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/fd", &st); err != nil {
		return 0
	}
	return int(st.Size)
}

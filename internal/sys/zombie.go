package sys

import "syscall"

// ZombieStatus returns how process pid ended, of which h is held, as long as its parent has not
// reaped it: the kernel shows it in field 52 of /proc/PID/stat (Linux 3.5) to who may trace the
// process, and a 0 to everybody else. Once it is reaped, BarePidfd.ExitStatus tells. That it is
// known here is proven: a 0 by the permission, and whose it is by h, which still finds a process
// there after the look.
//
// Where a leader had ended by pthread_exit(3) before the others, its own status may be shown
// instead of that of the process.
func ZombieStatus(h BarePidfd, pid int) (status syscall.WaitStatus, known bool, err error) {
	return zombieStatus(h, pid)
}

package sys

import "golang.org/x/sys/unix"

func tee(from, to, n int) (int, error) {
	for {
		got, err := unix.Tee(from, to, n, unix.SPLICE_F_NONBLOCK)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, wrap("tee", err)
		}
		return int(got), nil
	}
}

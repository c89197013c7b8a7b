package sys

import "golang.org/x/sys/unix"

func bootID() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	return id, wrap("sysctl kern.bootsessionuuid", err)
}

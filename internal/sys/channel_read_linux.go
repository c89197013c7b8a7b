package sys

import "golang.org/x/sys/unix"

func (c Channel) closeRead() error {
	return wrap("shutdown", unix.Shutdown(int(c), unix.SHUT_RD))
}

func (c Channel) unread() (bool, error) {
	n, err := retry1(func() (int, error) { return unix.IoctlGetInt(int(c), unix.SIOCOUTQ) })
	return n > 0, wrap("ioctl(SIOCOUTQ)", err)
}

func (c Channel) peekFile(p []byte) (int, int, error) {
	const look = unix.MSG_PEEK | unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC
	// Without room for them no descriptor is installed, and MSG_CTRUNC says that there is one, or
	// credentials (scm_recv in the kernel's net/core/scm.h).
	var n, oobn, flags int
	var oob []byte
	recv := func() (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(int(c), p, oob, look)
		return err
	}
	if err := retry(recv); err != nil || flags&unix.MSG_CTRUNC == 0 {
		return n, -1, wrap("recvmsg", err)
	}
	oob = make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4))
	if err := retry(recv); err != nil {
		return 0, -1, wrap("recvmsg", err)
	}
	files, err := receivedFiles(oob[:oobn])
	if err != nil || len(files) == 0 {
		if err == nil && flags&unix.MSG_CTRUNC != 0 {
			err = wrap("recvmsg", unix.EMFILE) // there was room for one, but no number
		}
		return n, -1, err
	}
	for _, fd := range files[1:] {
		CloseFD(fd)
	}
	return n, files[0], nil
}

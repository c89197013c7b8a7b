//go:build unix

package sys

import (
	"io/fs"
	"syscall"
)

func fileID(info fs.FileInfo) FileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return FileID{}
	}
	return FileID{uint64(st.Dev), uint64(st.Ino)}
}

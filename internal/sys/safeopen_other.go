//go:build !unix

package sys

import (
	"io/fs"
	"os"
)

func openTrusted(path string, _ TrustedOpen) (*os.File, bool, error) {
	return nil, false, &fs.PathError{Op: "open", Path: path, Err: Unsupported("checking who owns a link")}
}

func makeTrustedDir(path string, _ fs.FileMode, _ Owner) error {
	return &fs.PathError{Op: "make directory", Path: path, Err: Unsupported("checking who owns a link")}
}

func fileOwner(fs.FileInfo) (Owner, uint64, error) { return Owner{}, 0, Unsupported("file owner") }

func removeTrusted(path string, _ fs.FileInfo) error {
	return &fs.PathError{Op: "remove", Path: path, Err: Unsupported("checking who owns a link")}
}

package sys

import "io/fs"

// FileID tells files apart, as long as they exist. The zero value is no file's.
type FileID struct{ Device, Inode uint64 }

// FileIDOf returns the id of a file that info, of package os, tells of; the zero value where the
// system has none.
func FileIDOf(info fs.FileInfo) FileID { return fileID(info) }

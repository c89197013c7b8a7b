//go:build !unix || aix

package atomicfile

const noFollow = 0

// syncDir: a directory cannot be opened for syncing here; the system's own
// journal orders the rename.
func syncDir(string) error { return nil }

package sys

// LocalFS says whether path is on a file system of this machine alone, on which nothing waits for
// an answer of somebody else: another machine, or the program that serves FUSE. The question itself
// may wait (Within). Where it cannot be told the answer is no.
func LocalFS(path string) (bool, error) { return localFS(path) }

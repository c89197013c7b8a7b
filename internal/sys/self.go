package sys

// FirstThread says whether the calling thread is the one that the process began with, which lives as long as the
// process. Where threads have no number (elsewhere than on Linux) it says no.
func FirstThread() bool { return firstThread() }

// Self returns a path that executes the running binary, also when its file has
// been deleted (go run) or replaced (an upgrade) since. Where the file is still the one that
// runs, it is that file's name, so that ps(1) shows a proper one.
func Self() (string, error) { return self() }

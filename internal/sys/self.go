package sys

// Self returns a path that executes the running binary, also when its file has
// been deleted (go run) or replaced (an upgrade) since. Where the file is still the one that
// runs, it is that file's name, so that ps(1) shows a proper one.
func Self() (string, error) { return self() }

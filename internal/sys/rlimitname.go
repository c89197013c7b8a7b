package sys

// RlimitNumber returns the number of a resource of setrlimit(2) by its name in
// lower case without "RLIMIT_", and whether this system has it.
func RlimitNumber(name string) (int, bool) {
	n, ok := rlimitNumbers[name]
	return n, ok
}

package sys

// Unmapped says whether the owner uid of a file may be somebody who has no number in our user
// namespace: all those are shown as one (user_namespaces(7), /proc/sys/kernel/overflowuid), and
// nobody inside can be or become them. Outside of namespaces, and in one where that number is a
// user's as well, it is a user like others.
func Unmapped(uid int) bool {
	return unmapped(uid, "/proc/self/uid_map", "/proc/sys/kernel/overflowuid")
}

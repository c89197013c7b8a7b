package sys

// BootID returns a text that is different after every boot of this machine:
// what is counted since boot (start times, pidfd numbers) means something only
// together with it. Linux: /proc/sys/kernel/random/boot_id, which containers
// share with their host. Darwin: kern.bootsessionuuid.
func BootID() (string, error) { return bootID() }

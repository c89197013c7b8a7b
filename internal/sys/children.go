package sys

// Children lists the pids of this process's children, of all its threads. It needs
// CONFIG_PROC_CHILDREN (Linux 3.5; 4.2 with checkpoint/restore off) and is unsupported elsewhere.
func Children() ([]int, error) { return children() }

// ChildrenOf lists the pids of the children of process pid, of all its threads; none if it has
// ended. Where it cannot be told the error is as for Children.
func ChildrenOf(pid int) ([]int, error) { return childrenOf(pid) }

// DescendantsOf lists the pids of the children of process pid, and of theirs, and so on. Those
// whose parents have ended are not among them. The error is as for Children; those that could be seen are
// listed all the same.
func DescendantsOf(pid int) ([]int, error) { return descendantsOf(pid) }

// WaitAnyExit waits until a child of this process has died and leaves it to be reaped. Without
// children it returns ECHILD. Where waitid(2) is not to be had (darwin, the BSDs), it returns at
// the death of a child or after a short while, whichever comes first.
func WaitAnyExit() error { return waitAnyExit() }

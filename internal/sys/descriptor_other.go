//go:build !unix

package sys

func sealDescriptors(int) error { return Unsupported("close_range") }

func dup2(int, int) error { return Unsupported("dup2") }

func dupAbove(int, int) (int, error) { return -1, Unsupported("fcntl") }

func setCloseOnExec(int, bool) error { return Unsupported("fcntl") }

func descriptorOpen(int) bool { return false }

//go:build !linux

package sys

type watch struct{}

func newWatch() (*Watch, error) { return nil, Unsupported("epoll") }

func (*watch) add(int, Interest, uint64) error { return Unsupported("epoll") }

func (*watch) remove(int) error { return Unsupported("epoll") }

func (*watch) next([]uint64) (int, error) { return 0, Unsupported("epoll") }

func (*watch) close() error { return nil }

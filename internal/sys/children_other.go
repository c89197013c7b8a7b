//go:build !linux

package sys

import "time"

func children() ([]int, error)         { return nil, Unsupported("list of children") }
func childrenOf(int) ([]int, error)    { return nil, Unsupported("list of children") }
func descendantsOf(int) ([]int, error) { return nil, Unsupported("list of children") }

// waitPeriod bounds how late a death is noticed where it cannot be waited for without reaping.
const waitPeriod = 5 * time.Millisecond

func waitAnyExit() error {
	<-time.After(waitPeriod)
	return nil
}

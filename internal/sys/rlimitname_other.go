//go:build !unix

package sys

var rlimitNumbers map[string]int

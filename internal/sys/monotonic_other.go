//go:build !unix || aix

package sys

import "time"

func monotonic() (time.Duration, error) { return 0, Unsupported("clock_gettime") }

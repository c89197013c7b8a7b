package notify

import "strconv"

// Errno is an error number. Plan 9 has none of its own.
type Errno uint

func (e Errno) Error() string { return "error " + strconv.FormatUint(uint64(e), 10) }

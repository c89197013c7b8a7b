package proctest

import "os"

// RaceSettings are GORACE's for helper programs: the race detector does not sleep for a second at
// each exit. What is set already holds as well, as where it reports to: what most helpers print to
// descriptor 2, nobody reads.
func RaceSettings() string { return "atexit_sleep_ms=0 " + os.Getenv("GORACE") }

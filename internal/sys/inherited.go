package sys

// Nice is the nice value of the calling thread (getpriority(2)).
func Nice() (int, error) { return nice() }

// SetNiceOfAll sets the nice value of every thread of the process: the kernel has one for each
// (setpriority(2), "C library/kernel differences"). Those that are made later have that of their
// maker.
func SetNiceOfAll(n int) error { return setNiceOfAll(n) }

// OOMScoreAdj reads /proc/self/oom_score_adj.
func OOMScoreAdj() (int, error) { return oomScoreAdj() }

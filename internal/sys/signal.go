package sys

// SignalSet is a set of signals, bit N-1 for signal N, as in the SigBlk line of
// /proc/PID/status. Sixty-four bits hold every signal of Linux, the BSDs and illumos.
type SignalSet uint64

// Add returns the set with sig in it.
func (s SignalSet) Add(sig Signal) SignalSet { return s | 1<<(uint(sig)-1) }

// Has says whether sig is in the set.
func (s SignalSet) Has(sig Signal) bool { return s&(1<<(uint(sig)-1)) != 0 }

// Signals lists the members of the set in ascending order.
func (s SignalSet) Signals() []Signal {
	var list []Signal
	for sig := Signal(1); sig <= 64; sig++ {
		if s.Has(sig) {
			list = append(list, sig)
		}
	}
	return list
}

package sys

// Tee copies up to n bytes from the head of one pipe into another without taking
// them out of the first and without moving them in memory (tee(2), Linux 2.6.17). It
// does not wait: EAGAIN when nothing is there or the other pipe is full.
func Tee(from, to, n int) (int, error) { return tee(from, to, n) }

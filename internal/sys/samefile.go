package sys

// SameDescription says whether two descriptors of ours are the same open file: made by dup(2) or
// passed around, with one offset and one set of status flags (kcmp(2), Linux 3.5).
func SameDescription(a, b int) (bool, error) { return sameDescription(a, b) }

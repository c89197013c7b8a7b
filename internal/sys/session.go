package sys

// NewSession makes this process the leader of a new session without a terminal. A process that
// leads a process group already cannot (EPERM, setsid(2)).
func NewSession() error { return newSession() }

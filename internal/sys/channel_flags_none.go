//go:build darwin || aix

package sys

// None of the three exists here. Go's runtime catches SIGPIPE and ignores it
// for every descriptor but 1 and 2 (os/signal, "SIGPIPE"), which a Channel never is.
const (
	sockCloexec    = 0
	msgNoSignal    = 0
	msgCmsgCloexec = 0
)

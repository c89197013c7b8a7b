package check

import "github.com/daemonry/daemonry/internal/sys"

// signalActions judges SigIgn. Execve resets handlers and keeps SIG_IGN, so
// only ignored signals can be inherited; but programs ignore signals too.
func (f *facts) signalActions() finding {
	ignored := f.status.Ignored
	switch {
	case ignored == 0:
		return passf("no signal is ignored")
	case f.fdsErr != nil && f.caught() == 0:
		return unseenf("ignored: %s; by the program or since before it, %v",
			signalList(ignored), f.fdsErr)
	case f.inert():
		return failf("ignored: %s; nothing shows that the program set up anything itself, so it "+
			"was born with this", signalList(ignored))
	}
	return unseenf("ignored: %s; it sets up things of its own, so this may be its own doing",
		signalList(ignored))
}

// signalMask judges what every thread blocks. A program that takes signals in
// another way shows it: by a signalfd; and while a thread waits in sigwait(3) the
// kernel takes what it waits for out of its SigBlk.
func (f *facts) signalMask() finding {
	if f.blockedErr != nil {
		return unseenf("its threads: %v", f.blockedErr)
	}
	blocked, taken := f.blocked, sys.SignalSet(0)
	for _, fd := range f.fds {
		taken |= fd.Signals
	}
	switch {
	case blocked == 0:
		return passf("no signal is blocked in all its threads")
	case f.fdsErr != nil:
		return unseenf("blocked: %s; whether a signalfd takes them cannot be seen: %v",
			signalList(blocked), f.fdsErr)
	case blocked&^taken == 0:
		return passf("blocked, and taken through a signalfd: %s", signalList(blocked))
	case signalList(blocked&^taken) == "SIGCHLD" && f.caught()&blocked&^taken != 0:
		return unseenf("blocked: SIGCHLD, for which it has a handler: shells hold it back while " +
			"they wait for a child")
	}
	return failf("blocked in all its threads, in each of %d looks: %s",
		looks, signalList(blocked&^taken))
}

package notify

import (
	"fmt"
	"time"
)

// MaxSize is the longest message in bytes that receivers are bound to read;
// systemd drops a longer one whole.
const MaxSize = 4096

// Message is one message of sd_notify(3), all of whose fields a receiver takes
// together. A field with its zero value is not in the message; where an empty or
// zero value means something of its own, the field is a pointer, written with
// new: Message{Status: new("")}.
//
// In each comment: the name on the wire, and the version of systemd from which on
// it has the meaning given.
type Message struct {
	// Ready (READY=1) says that start-up, or the reload announced by Reloading,
	// is finished.
	Ready bool
	// Reloading (RELOADING=1, 217) says that a reload begins; Ready must follow.
	// In a message that has both, the reload has begun and ended.
	Reloading bool
	// Monotonic (MONOTONIC_USEC=, 253) is the time of CLOCK_MONOTONIC, to the
	// microsecond, at which Reloading was sent. Type=notify-reload demands it in
	// the same message.
	Monotonic time.Duration
	// Stopping (STOPPING=1, 217) says that the shutdown begins. It counts for
	// more than Ready and Reloading in the same message and, from 259 on, in all
	// later ones.
	Stopping bool

	// Status (STATUS=, 233) is one line of UTF-8 for people; empty clears the
	// last one.
	Status *string
	// Errno (ERRNO=, 233) is the error number of a failure, 0 to 4095; 0 takes
	// back the last one.
	Errno *Errno
	// BusError and VarlinkError (BUSERROR=, 233; VARLINKERROR=, 257) name a
	// failure in the manner of D-Bus and of Varlink.
	BusError, VarlinkError string
	// ExitStatus (EXIT_STATUS=, 254) is an exit status, 0 to 255, for the record.
	ExitStatus *int

	// MainPID (MAINPID=, 233) is the new main process of the service.
	MainPID int
	// MainPIDFDID (MAINPIDFDID=, 257) is the inode number of a pidfd of that
	// process, which unlike its pid no other process will ever have. Linux 6.9.
	MainPIDFDID uint64
	// MainPIDFD (MAINPIDFD=1, 257) says that the one descriptor sent along is the
	// pidfd itself.
	MainPIDFD bool

	// Watchdog (WATCHDOG=1) is the sign of life.
	Watchdog bool
	// WatchdogTrigger (WATCHDOG=trigger, 243) asks to be treated as if the sign
	// of life were overdue, whether or not one is expected.
	WatchdogTrigger bool
	// WatchdogInterval (WATCHDOG_USEC=, 233) changes, to the microsecond, within
	// what time the next sign of life is due; 0 and Forever end the supervision.
	WatchdogInterval *time.Duration
	// ExtendTimeout (EXTEND_TIMEOUT_USEC=, 236) says that the next message comes
	// within this time, to the microsecond, and that start, running time or stop
	// may last so long.
	ExtendTimeout time.Duration
	// RestartReset (RESTART_RESET=1, 258) sets the restart counter and delay back.
	RestartReset bool
	// NotifyAccess (NOTIFYACCESS=, 254) changes whose messages count: none, main,
	// exec or all.
	NotifyAccess string

	// FDStore (FDSTORE=1, 219) asks to keep the descriptors sent along and to
	// hand them over at the next start, see package listen.
	FDStore bool
	// FDStoreRemove (FDSTOREREMOVE=1, 236) asks to drop those kept under FDName.
	// It wins over FDStore.
	FDStoreRemove bool
	// FDName (FDNAME=, 233) is the name of the descriptors: at most 255
	// characters of ASCII without control characters and ':'. The receiver takes
	// none as "stored".
	FDName string
	// FDKeepDead (FDPOLL=0, 246) asks to keep descriptors that report EPOLLHUP or
	// EPOLLERR too.
	FDKeepDead bool

	// Barrier (BARRIER=1, 246) asks the receiver to close the one descriptor sent
	// along when all messages before this one are dealt with. Nothing else may be
	// in the message.
	Barrier bool

	// Other holds the fields that are not among those above, in the order of the
	// message. Private ones should be called X_ and a name of one's own.
	Other []Field
}

// Field is one line KEY=VALUE of a message.
type Field struct{ Key, Value string }

// Forever is the longest time a message can speak of here, about 292 years.
// Longer ones (UINT64_MAX microseconds, systemd's "infinity") are read as this.
const Forever = time.Duration(1<<63-1) / time.Microsecond * time.Microsecond

// FieldError says what is wrong with one field. Of a line that is not a field at
// all, Value is the whole and Key is empty.
type FieldError struct {
	Field
	Problem string // such as "not a process id"
}

func (e FieldError) Error() string {
	line := e.Value
	if e.Key != "" {
		line = e.Key + "=" + e.Value
	}
	return "notify message: " + quoteShort(line) + ": " + e.Problem
}

// FieldErrors are the fields of one message that could not be read, at least one.
type FieldErrors []FieldError

// Error speaks of the first, so that a stranger's message cannot flood a log.
func (e FieldErrors) Error() string {
	if more := len(e) - 1; more > 0 {
		return fmt.Sprintf("%v (and %d more)", e[0], more)
	}
	return e[0].Error()
}

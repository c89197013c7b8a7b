package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/listen"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/pidfile"
)

// Options say how the program replaces itself. The zero value is useful.
type Options struct {
	// Program is the file to execute, absolute. Default: the name under which this process was
	// started, if that leads to the running file at the time of New, so that a link
	// that is switched to a new version is followed; else the running file's own name.
	Program string
	// Args are the arguments of the successor, without the program's name. Nil means those of this
	// process.
	Args []string
	// Env is the environment of the successor. Nil means that of this process at the time of the
	// upgrade.
	Env []string

	// Check is asked about the file before it is executed as a successor, after it has been seen
	// that it is an executable file for this machine, all of it, and its interpreter is there. An
	// error ends the upgrade, and Upgrade returns it. So does the end of ctx, which is that of
	// Timeout at the latest. Default: nothing more is asked.
	Check func(ctx context.Context, program string) error

	// Timeout is the time from the start of a successor until its Ready. Default 30 s; a negative
	// one is an error. Who wants no limit gives a long one.
	Timeout time.Duration
	// KillGrace is the time between SIGTERM and SIGKILL for a successor that failed, which comes on
	// top of Timeout. Default 2 s; a negative one is none: SIGKILL at once.
	KillGrace time.Duration

	// Pause is the time between the Ready of a successor and Exit: both accept connections for so
	// long, and a load balancer, or who asks after the service's health, has found the new process
	// before the old one stops. It is no probation: the successor is the main process from the
	// first moment. Default none.
	Pause time.Duration

	// Signal starts an upgrade. Default SIGHUP.
	Signal os.Signal
	// NoSignal leaves all signals to the program, which calls Upgrade itself.
	NoSignal bool
	// Report is told how an upgrade failed that a signal started. It is called in a goroutine of
	// its own. Default: one line on standard error.
	Report func(error)

	// Version is that of whatever this program hands over or shares with its successor: the format
	// of a file, of a database. A program with a lower Version than the running one's is refused.
	Version int

	// PIDFile is the absolute name of a pid file that holds the pid of the serving process, with a
	// lock that goes from process to process without being released. Leave it empty if package
	// daemonry holds one.
	PIDFile string
	// SocketMode is the permission of unix sockets that Listen and ListenPacket open, as in
	// listen.Address. Default 0600.
	SocketMode fs.FileMode
	// Notify is who to tell. The zero value tells whoever $NOTIFY_SOCKET names.
	Notify notify.Client
	// Store also gives every socket into the manager's keeping (FDSTORE=1), so that it stays open
	// over a crash.
	Store bool

	// KeepPID keeps the process that was started, as a small process that does nothing but wait: it
	// passes signals on to the serving process, takes in orphans, and ends as that process does
	// (128+N for signal N). It is for managers that take the end of the process they started for
	// the end of the service and cannot be told otherwise, and is always so for process 1. Linux
	// only.
	KeepPID bool
}

const (
	defaultTimeout   = 30 * time.Second
	defaultKillGrace = 2 * time.Second
	defaultSignal    = sys.SIGHUP
)

var (
	// ErrInProgress says that another upgrade is under way.
	ErrInProgress = errors.New("an upgrade is in progress")
	// ErrNotReady says that this process has not called Ready yet, or has been closed.
	ErrNotReady = errors.New("this process is not serving")
	// ErrReplaced says that a successor serves already.
	ErrReplaced = errors.New("this process has been replaced")
	// ErrOlder says that the new program's Options.Version is below the running one's.
	ErrOlder = errors.New("older than the program that runs")
)

// phase is what an Upgrader is at.
type phase int

const (
	starting  phase = iota // before Ready
	serving                // Upgrade may begin
	upgrading              // one is under way
	replaced               // a successor serves
	closed
)

// Upgrader is this process's part in its replacements. There is one per process. Its
// methods may be called from several goroutines.
type Upgrader struct {
	o         Options
	program   string
	heritage  *heritage // from whom we take over, and a waiter's channel
	inherited *listen.Set
	pidfile   *pidfile.File

	// what is handed over in the attempt under way, of which there is one
	giving func() ([]byte, []*os.File)

	exit    chan struct{}
	stop    chan struct{} // closed by Close
	signals chan os.Signal
	watch   sync.WaitGroup

	mu       sync.Mutex
	phase    phase
	sockets  []*socket
	unwanted []unwanted // until this process takes over
}

// handoverName is ours among what a process hands over.
const handoverName = "upgrade"

// New takes over what a predecessor or a manager handed to this process. Call it once, before
// anything else that main does, or right after daemonry.Detach: with KeepPID, and as process 1, the
// program is started again below and New does not return here, but ends the process when its time
// comes.
func New(o Options) (*Upgrader, error) {
	u, err := newUpgrader(o)
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	return u, nil
}

func newUpgrader(o Options) (*Upgrader, error) {
	if err := sys.NeedsUnix("upgrade"); err != nil {
		return nil, err
	}
	if err := spawn.Guest(); err != nil {
		return nil, err
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("Options.Timeout is negative: %v", o.Timeout)
	}
	h, err := readHeritage(spawn.Inherited())
	if err != nil {
		return nil, err
	}
	origin, err := spawn.KeepOrigin()
	if err != nil {
		return nil, err
	}
	if h.waiter == nil && (o.KeepPID || os.Getpid() == 1) {
		return nil, becomeWaiter()
	}
	if err := spawn.Arrive(); err != nil {
		return nil, err
	}
	if h.predecessor != nil && o.Version < h.note.Version {
		return nil, fmt.Errorf("%w: version %d after %d", ErrOlder, o.Version, h.note.Version)
	}
	u := &Upgrader{
		o:        o,
		heritage: h,
		exit:     make(chan struct{}),
		stop:     make(chan struct{}),
		// while one upgrade is under way any number of signals ask for one more
		signals: make(chan os.Signal, 1),
	}
	if u.program, err = u.findProgram(origin); err != nil {
		return nil, err
	}
	if err := u.openPIDFile(); err != nil {
		return nil, err
	}
	if u.inherited, err = listen.Take(); err != nil {
		return nil, err
	}
	if err := spawn.AddHandover(spawn.Handover{
		Name:    handoverName,
		Give:    func() ([]byte, []*os.File) { return u.giving() },
		Succeed: u.succeed,
		Retire:  u.retire,
		Resume:  u.resume,
	}); err != nil {
		return nil, err
	}
	return u, h.greet()
}

// openPIDFile makes the pid file ours: the predecessor's open file, whose lock it shares, or a new
// one.
func (u *Upgrader) openPIDFile() (err error) {
	if u.o.PIDFile == "" {
		return nil
	}
	if !filepath.IsAbs(u.o.PIDFile) {
		return fmt.Errorf("pid file %q: not an absolute path", u.o.PIDFile)
	}
	if f := u.heritage.files[filePID]; f != nil && u.heritage.note.PIDFile == u.o.PIDFile {
		u.pidfile, err = pidfile.Adopt(f, u.o.PIDFile)
		return err
	}
	if u.pidfile, err = pidfile.Acquire(u.o.PIDFile, pidfile.Options{}); err != nil {
		return err
	}
	return u.record()
}

// record writes our pid. That it has no fingerprint is no error: the lock proves who holds it.
func (u *Upgrader) record() error {
	if u.pidfile == nil {
		return nil
	}
	if err := u.pidfile.Write(os.Getpid()); !errors.Is(err, pidfile.ErrNoFingerprint) {
		return err
	}
	return nil
}

// Ready says that this process serves. If it replaces another one, that is the moment: Ready
// returns when this process is the main one, and the predecessor finishes what it is at. An error
// means that this process is not to serve, for nobody waits for it any more: it should end.
//
// Sockets that were handed over and that nobody asked for are closed (see Untaken), and names of
// unix sockets among them that a predecessor opened are removed. From here on a signal starts
// an upgrade. A program that uses package daemonry calls its Ready too, before.
func (u *Upgrader) Ready() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.phase != starting {
		return nil
	}
	unused, err := u.dropUnused()
	if err != nil {
		return fmt.Errorf("upgrade: close what nobody asked for: %w", err)
	}
	if err := u.becomeMain(); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if err := u.unstore(unused); err != nil {
		return fmt.Errorf("upgrade: take what nobody asked for out of the manager's keeping: %w",
			err)
	}
	u.phase = serving
	if !u.o.NoSignal {
		asked := u.o.Signal
		if asked == nil || asked == sys.Signal(0) {
			asked = defaultSignal
		}
		signal.Notify(u.signals, asked)
		u.watch.Go(u.obeySignals)
	}
	return nil
}

// becomeMain tells whoever waits for this process, and returns when it is the main one.
func (u *Upgrader) becomeMain() error {
	if u.heritage.predecessor != nil {
		return u.heritage.takeOver(u.dropNames)
	}
	if u.heritage.waiter != nil {
		if err := succeedAll(); err != nil {
			return err
		}
	}
	_, err := u.o.Notify.Ready()
	return err
}

// Exit is closed when a successor serves, and has done so for Options.Pause, and this process is to
// finish what it is at and to end. Nothing else closes it: ending for another reason is the
// program's own decision.
func (u *Upgrader) Exit() <-chan struct{} { return u.exit }

// Alone is closed when there is no predecessor, or no longer: from then on this process has to
// itself what both used.
func (u *Upgrader) Alone() <-chan struct{} { return u.heritage.alone }

// Close is for a clean end, after the program has served its last request, whether it was replaced
// or not. It ends the work of signals, waits for an upgrade under way, and, unless a successor
// serves, tells the manager that the program stops and removes the pid file. Listeners are the
// program's to close.
func (u *Upgrader) Close() error {
	u.mu.Lock()
	if u.phase == closed {
		u.mu.Unlock()
		return nil
	}
	close(u.stop) // also the end of an upgrade under way
	u.mu.Unlock()
	signal.Stop(u.signals)
	u.watch.Wait()

	u.mu.Lock()
	defer u.mu.Unlock()
	was := u.phase
	u.phase = closed
	if was == replaced {
		return nil
	}
	var err error
	// else the predecessor is still the one to speak of
	if was == serving || u.heritage.predecessor == nil {
		_, err = u.o.Notify.Stopping()
		if u.pidfile != nil {
			err = errors.Join(err, u.pidfile.Remove())
		}
	}
	if u.pidfile != nil {
		err = errors.Join(err, u.pidfile.Close())
		u.pidfile = nil
	}
	return err
}

func (u *Upgrader) obeySignals() {
	for {
		select {
		case <-u.stop:
			return
		case <-u.exit:
			return
		case <-u.signals:
			if err := u.Upgrade(context.Background()); err != nil {
				u.report(err)
			}
		}
	}
}

func (u *Upgrader) report(err error) {
	if u.o.Report != nil {
		u.o.Report(err)
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
}

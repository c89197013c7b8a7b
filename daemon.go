package daemonry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/pidfile"
)

// self is what this process is, as far as Detach made it something. There is
// one process, so there is one.
var self struct {
	mu       sync.Mutex
	born     *spawn.Born   // who waits for us; nil when nobody does (any more)
	role     role          // what Detach has made of us
	failed   error         // why it could not
	plan     plan          // how we are to be
	out, err *os.File      // where output goes when ready; nil in the foreground leaves it
	captured *Captured     // who reads it in this process
	files    []*os.File    // Options.Files
	pidfile  *pidfile.File // ours while we live
	manager  notify.Client // in the foreground
	stderr   *os.File      // in the foreground until ready: what we were started with
	readyFD  int
	notified bool
	unheard  error // why the launcher could not be told that we are ready
	replaced bool  // a successor has taken over
	handed   bool  // a successor gets all this
}

// role is what Detach makes of a process. The values are a protocol: see giveHandover.
type role byte

const (
	roleNone       role = 0 // Detach has not been called, or this is the launcher
	roleDaemon     role = 'D'
	roleForeground role = 'F'
)

func isDaemon() bool {
	b := spawn.Inherited()
	if b == nil || !b.Successor {
		return b != nil
	}
	data, _, _ := b.Handover(handoverName)
	return len(data) > 0 && role(data[0]) == roleDaemon
}

// becomeDaemon is the daemon's part of Detach: it takes over what the launcher prepared. Until here
// it was in the launcher's directory, where relative paths mean what they meant there.
func becomeDaemon(b *spawn.Born) error {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.role != roleNone {
		return errAgain
	}
	self.role, self.born = roleDaemon, b
	err := takeOver(b.Payload, b.Files)
	if err == nil {
		p := self.plan
		if p.chroot == "" {
			p.user = nil // it was born as that: the program's file need not be inside a new root
		}
		err = p.enter()
		if err == nil && p.user != nil {
			err = b.Tie() // which the change of user has undone
		}
	}
	if err == nil {
		err = addHandover()
	}
	if err != nil {
		self.failed = fmt.Errorf("daemonry: become the daemon: %w", err)
		// The launcher has the reason however the program ends because of it; what the program
		// gives to Fail comes after that and counts instead. Who cannot be told is gone.
		r := report{status: spawn.StatusFailed, text: self.failed.Error()}
		_ = b.Send(r.encode())
	}
	return self.failed
}

var errAgain = errors.New("daemonry: Detach was called before in this process")

func takeOver(payload []byte, files []*os.File) (err error) {
	if self.plan, err = decodePlan(payload); err != nil {
		return err
	}
	take := func() (f *os.File) {
		if len(files) == 0 {
			err = errors.New("a descriptor from the launcher is missing")
			return nil
		}
		f, files = files[0], files[1:]
		return f
	}
	switch self.plan.outputs {
	case bothOutputs:
		self.out = take()
		self.err = self.out
	case twoOutputs:
		self.out, self.err = take(), take()
	case errOutput:
		self.err = take()
	}
	if self.plan.pidFile != "" && err == nil {
		if f := take(); err == nil {
			self.pidfile, err = pidfile.Adopt(f, self.plan.pidFile)
		}
	}
	if err != nil {
		return err
	}
	self.files, err = named(files, self.plan.names)
	return err
}

// named gives files the names that they had in the launcher. The name of an os.File cannot change,
// so each is another one that has the same file open.
func named(files []*os.File, names []string) ([]*os.File, error) {
	if len(files) != len(names) {
		return nil, errors.New("a file from the launcher is missing, or is one too many")
	}
	list := make([]*os.File, len(files))
	for i, f := range files {
		var err error
		list[i], err = another(f, names[i])
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// another is another os.File, close-on-exec, with the same file open.
func another(f *os.File, name string) (copied *os.File, err error) {
	err = sys.WithFD(f, func(fd int) (err error) {
		copied, err = copyOf(fd, name)
		return err
	})
	return copied, err
}

func ready() error {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.failed != nil {
		return fmt.Errorf("daemonry: Ready after a Detach that failed: %w", self.failed)
	}
	if self.notified || self.unheard != nil {
		return self.unheard
	}
	spawn.LeaveOrigin()
	if b := spawn.Inherited(); b != nil && b.Successor { // package upgrade tells the predecessor
		self.notified = true
		return redirect(self.out, self.err)
	}
	if self.role != roleDaemon && spawn.Inherited() != nil {
		return errors.New("daemonry: Ready was called before Detach")
	}
	told := tellManager
	if self.born != nil {
		told = tellLauncher
	}
	if err := told(); err != nil {
		return err
	}
	self.notified = true
	return nil
}

// recordWait is how long Ready waits for a launcher that does not write the pid file: one that is
// stopped, or whose file system does not answer.
const recordWait = 5 * time.Second

func tellLauncher() error {
	if err := redirect(self.out, self.err); err != nil {
		return fmt.Errorf("daemonry: redirect output: %w", err)
	}
	if err := self.born.EndCrashOutput(); err != nil {
		return fmt.Errorf("daemonry: end crash output: %w", err)
	}
	if err := self.born.Untie(); err != nil {
		return fmt.Errorf("daemonry: let go of the launcher's watcher: %w", err)
	}
	r, b := &report{ready: true}, self.born
	var err error
	if self.pidfile == nil {
		err = tell(b, r)
	} else {
		// From here on the file names us, and Release cannot come before that.
		self.born = nil
		err = b.SendLastAndWait(r.encode(), recordWait)
	}
	if err != nil {
		self.unheard = fmt.Errorf("daemonry: tell the launcher: %w", err)
	}
	return self.unheard
}

func tellManager() error {
	client := self.manager
	if self.readyFD > 0 {
		pipe, err := notify.OpenPipe(self.readyFD)
		if err != nil {
			return err
		}
		client.Pipe, self.readyFD = pipe, 0 // the number is another file's soon
	}
	if _, err := client.Ready(); err != nil {
		return err
	}
	if self.stderr != nil {
		return self.stderr.Close()
	}
	return nil
}

// tell sends the one word that the launcher waits for and hangs up.
func tell(b *spawn.Born, r *report) error {
	self.born = nil
	return b.SendLast(r.encode())
}

// exitStatuser is what an error may have to say how a program should exit because of it.
type exitStatuser interface{ ExitStatus() int }

func failWith(err error) {
	if err == nil {
		err = errors.New("failed without a reason")
	}
	status := 1
	var s exitStatuser
	// else what exit(3) leaves of it may be 0
	if errors.As(err, &s) && s.ExitStatus() > 0 && s.ExitStatus() <= 255 {
		status = s.ExitStatus()
	}
	self.mu.Lock()
	waiting := self.born
	if waiting == nil && self.role == roleNone {
		waiting = spawn.Inherited() // before Detach
	}
	told := waiting != nil && tell(waiting, &report{status: status, text: err.Error()}) == nil &&
		!waiting.Successor // whose predecessor passes on what is on standard error, too
	if self.pidfile != nil {
		_ = self.pidfile.Remove() // else stale, and recognised
	}
	outs := []*os.File{os.Stderr}
	if self.captured != nil { // nobody is left to read it
		outs[0] = self.captured.ErrLog
	}
	if self.stderr != nil && !self.notified { // who started us sees it, and the log keeps it
		outs = append(outs, self.stderr)
	}
	self.mu.Unlock()
	for _, out := range outs {
		if !told { // to each, also if the log is on a disk that is full
			fmt.Fprintf(out, "%s: %v\n", filepath.Base(new(Options).argv()[0]), err)
		}
	}
	os.Exit(status)
}

func inherited() []*os.File {
	self.mu.Lock()
	defer self.mu.Unlock()
	return self.files
}

func release() error {
	self.mu.Lock()
	defer self.mu.Unlock()
	err := sayStopping()
	if self.pidfile != nil {
		err = errors.Join(err, self.pidfile.Remove(), self.pidfile.Close())
		self.pidfile = nil
	}
	return err
}

func reopenLog() error {
	self.mu.Lock()
	defer self.mu.Unlock()
	p := &self.plan
	out, err := self.out, self.err
	var reopenErr error
	reopen := func(path string) (f *os.File) {
		if reopenErr == nil {
			f, reopenErr = openLog(path, p.logMode, p.user)
		}
		return f
	}
	if p.logFile != "" {
		out = reopen(p.logFile)
	}
	switch {
	case p.errFile != "":
		err = reopen(p.errFile)
	case p.outputs == bothOutputs:
		err = out
	}
	if reopenErr == nil && (self.born == nil || self.notified) { // else Ready does it
		reopenErr = redirect(out, err)
	}
	olds := []*os.File{self.out, self.err}
	if reopenErr != nil {
		olds = []*os.File{out, err}
		out, err = self.out, self.err
		reopenErr = fmt.Errorf("daemonry: open log again: %w", reopenErr)
	}
	self.out, self.err = out, err
	for _, f := range olds {
		if f != nil && f != out && f != err {
			_ = f.Close() // every write was made when it was made
		}
	}
	return reopenErr
}

func sayStatus(text string) error {
	if strings.ContainsRune(text, '\n') {
		return fmt.Errorf("daemonry: status %q: more than one line", text)
	}
	self.mu.Lock()
	defer self.mu.Unlock()
	if b := spawn.Inherited(); self.role == roleNone && b != nil && !b.Successor {
		return errors.New("daemonry: Status was called before Detach")
	}
	if b := self.born; b != nil && !b.Successor {
		r := report{note: true, text: text}
		return b.Send(r.encode())
	}
	if self.role != roleForeground {
		return nil
	}
	_, err := self.manager.Status(text)
	return err
}

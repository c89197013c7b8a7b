package daemonry

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/pidfile"
)

// handoverName is ours among what a process hands to the one that takes its place (package
// upgrade).
const handoverName = "daemonry"

// addHandover has every successor of this process get what Detach made it.
func addHandover() error {
	if self.handed {
		return nil
	}
	self.handed = true
	return spawn.AddHandover(spawn.Handover{
		Name:    handoverName,
		Give:    giveHandover,
		Succeed: succeed,
		Retire:  retire,
		Resume:  record,
	})
}

// giveHandover gives the role and the plan; the log if there is one, the pid file if there is one,
// Options.Files. The two processes are different binaries: this is a protocol.
func giveHandover() ([]byte, []*os.File) {
	self.mu.Lock()
	defer self.mu.Unlock()
	p := self.plan
	var files []*os.File
	if self.out != nil {
		files = append(files, self.out)
	}
	if self.err != nil && self.err != self.out {
		files = append(files, self.err)
	}
	if self.pidfile == nil {
		p.pidFile = ""
	} else {
		files = append(files, self.pidfile.File())
	}
	return append([]byte{byte(self.role)}, p.encode()...), append(files, self.files...)
}

// becomeSuccessor is Detach in a process that is to take another one's place: it is already what
// that one is, a daemon or not.
func becomeSuccessor(b *spawn.Born, o *Options) error {
	self.mu.Lock()
	again := self.born != nil
	self.born = b
	self.mu.Unlock()
	if again {
		return errors.New("daemonry: Detach was called before in this process")
	}
	data, files, _ := b.Handover(handoverName)
	if len(data) == 0 {
		if err := o.check(); err != nil {
			return fmt.Errorf("daemonry: in the foreground: %w", err)
		}
		// the predecessor has a limit
		if err := stayForeground(context.Background(), o); err != nil {
			return err
		}
		if o.Dir != "" || o.Chroot != "" {
			spawn.Stay()
		}
		return nil
	}
	if err := inherit(role(data[0]), data[1:], files); err != nil {
		return fmt.Errorf("daemonry: take over from the predecessor: %w", err)
	}
	return nil
}

func inherit(what role, data []byte, files []*os.File) error {
	self.mu.Lock()
	defer self.mu.Unlock()
	if what != roleDaemon && what != roleForeground {
		return errors.New("malformed message")
	}
	self.role = what
	if err := takeOver(data, files); err != nil {
		return err
	}
	if err := spawn.Arrive(); err != nil {
		return err
	}
	return addHandover()
}

// succeed makes this process the one that the pid file names.
func succeed() error {
	self.mu.Lock()
	self.born = nil // nobody waits to hear of a failure any more
	self.mu.Unlock()
	return record()
}

// record writes our pid. Without a fingerprint the lock, which we hold, still proves who we are.
func record() error {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.pidfile == nil {
		return nil
	}
	if err := self.pidfile.Write(os.Getpid()); !errors.Is(err, pidfile.ErrNoFingerprint) {
		return err
	}
	return nil
}

// retire leaves the pid file, and the word to the manager, to the successor.
func retire() error {
	self.mu.Lock()
	defer self.mu.Unlock()
	self.replaced = true
	if self.pidfile == nil {
		return nil
	}
	f := self.pidfile
	self.pidfile = nil
	return f.Close()
}

// sayStopping tells a manager that the program stops. It does not where a successor goes on, or, in
// a successor that failed, the predecessor does.
func sayStopping() error {
	if self.replaced || self.born != nil && self.born.Successor {
		return nil
	}
	_, err := self.manager.Stopping()
	return err
}

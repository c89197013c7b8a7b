package supervise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/daemonry/daemonry/internal/atomicfile"
)

// legacy is what an earlier supervisor has left on disk. It is read before anything is done, and
// reading changes nothing: what cannot be read is left for a program that can.
type legacy struct {
	specs storedSpecs
	wants storedWants
	content
	found bool // there is a journal
	// refused is why the journal is not used, nil if it is, or if there is none.
	refused error
	// doubt is why services may run of which no record tells, nil if there are none such.
	doubt error
}

// readLegacy reads it. An error means that it is not known what somebody wanted, or what runs:
// there is no going on without it.
func readLegacy(o Options) (l legacy, err error) {
	if err := errors.Join(readState(o.StateDir, specsFile, &l.specs), readState(o.StateDir, wantsFile, &l.wants)); err != nil {
		return l, err
	}
	if err := l.specs.check(filepath.Join(o.StateDir, specsFile)); err != nil {
		return l, err
	}
	here, err := newJournalHead()
	if errors.Is(err, errors.ErrUnsupported) {
		return l, nil // without a boot id no process can be named for ever
	}
	if err != nil {
		return l, err
	}
	here.Runtime = o.RuntimeDir
	path := filepath.Join(o.RuntimeDir, journalFile)
	l.content, err = readJournal(path, here)
	var spoilt *spoiltError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.doubt, err = readOwner(o.StateDir, here)
		return l, err
	case errors.Is(err, errPast):
	case errors.Is(err, errCopy):
		l.doubt = errCopy
	case errors.As(err, &spoilt):
		l.doubt = errors.New("what was known of it cannot be read")
	case err != nil:
		return l, err
	case len(l.faults) > 0:
		l.doubt = errors.New("what was known of it cannot all be read")
	}
	l.found, l.refused = true, err
	return l, nil
}

// check refuses what no supervisor has written.
func (s *storedSpecs) check(path string) error {
	seen := map[string]bool{}
	for _, stored := range s.Services {
		if seen[stored.Spec.Name] {
			return fmt.Errorf("%s: service %s is in it twice", path, stored.Spec.Name)
		}
		seen[stored.Spec.Name] = true
	}
	return nil
}

// readState reads a state file into v, which stays as it is if there is none. A field that this
// program does not know is a newer version's: written anew, the file would lose it.
func readState(dir, name string, v versioned) error {
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case head.Version > stateVersion:
		return fmt.Errorf("%s: version %d, and this program reads %d: %w", path, head.Version, stateVersion, errNewer)
	case head.Version < 1:
		return fmt.Errorf("%s: it has no version", path)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if v.version() != head.Version { // two of that name
		return fmt.Errorf("%s: it has two versions", path)
	}
	return nil
}

type versioned interface{ version() int }

func (s *storedSpecs) version() int { return s.Version }
func (s *storedWants) version() int { return s.Version }

// ownerFile, in the state directory, says which supervisor has the directories: the head of its
// journal. It is there from when there is a journal until all services have ended in order. So who
// finds it, of this boot, and no journal, knows that one is missing.
const ownerFile = "supervisor.owner"

// Owned says whether a supervisor has a state directory, or has left services that the next one has
// to know of.
func Owned(stateDir string) bool {
	_, err := os.Lstat(filepath.Join(stateDir, ownerFile))
	return err == nil
}

// CutOff says whether a supervisor of this boot and pid namespace has left services, and its
// runtime directory is gone. One that ends in order, and leaves something behind, leaves its
// journal there. It is for who has made sure that none lives.
func CutOff(stateDir string) bool {
	head, err := ownerHead(filepath.Join(stateDir, ownerFile))
	if err != nil || head.Runtime == "" {
		return false
	}
	if _, err := os.Lstat(filepath.Join(head.Runtime, journalFile)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	here, err := newJournalHead()
	if err != nil {
		return false
	}
	doubt, err := readOwner(stateDir, here)
	return doubt != nil && err == nil
}

// readOwner returns why services may run of which nothing is known, for somebody who has found no
// journal.
func readOwner(dir string, here journalHead) (doubt, err error) {
	path := filepath.Join(dir, ownerFile)
	head, err := ownerHead(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, errNoOwner):
		return errors.New("what was known of it is missing"), nil
	case err != nil:
		return nil, err
	}
	head.Device, head.Inode = 0, 0
	switch err := head.fits(here); {
	case errors.Is(err, errNewer):
		return nil, fmt.Errorf("%s: %w", path, err)
	case errors.Is(err, errPast):
		return nil, nil
	case head.Runtime != here.Runtime:
		return errors.New("what was known of it was in " + head.Runtime), nil
	}
	return errors.New("what was known of it is missing"), nil
}

// errNoOwner is of an owner's file that names none: it is empty, or damaged.
var errNoOwner = errors.New("it names no supervisor")

func ownerHead(path string) (head journalHead, err error) {
	f, err := os.Open(path)
	if err != nil {
		return head, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err == nil && parseLine(bytes.TrimSuffix(data, []byte{'\n'}), &head) != nil {
		err = fmt.Errorf("%s: %w", path, errNoOwner)
	}
	return head, err
}

// putAside keeps a journal that is not used: one whose processes are gone for people to look at,
// any other under a name of its own.
func putAside(path string, why error) error {
	to := path + ".refused"
	for n := 1; !errors.Is(why, errPast); n++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		to = path + ".refused" + strconv.Itoa(n)
	}
	return os.Rename(path, to)
}

// takeJournal makes the journal and the owner's file ours. However this is interrupted, the next
// supervisor finds what this one has found, or what it made of it.
func (e *Engine) takeJournal(l legacy) error {
	j := e.notes.journal
	spoilt := l.found && (l.refused != nil || len(l.faults) > 0)
	if l.found && !spoilt {
		return e.claimOwner()
	}
	if spoilt { // the owner's file says that there was one
		if err := e.claimOwner(); err != nil {
			return err
		}
		if err := putAside(j.path, l.refused); err != nil {
			return err
		}
	}
	if err := j.write(e.records(true), true); err != nil {
		return err
	}
	if spoilt {
		return nil
	}
	return e.claimOwner()
}

// claimOwner is writeOwner where the disk lets it. Where it is full or read-only the supervisor
// goes on without, and says so: it is for who finds no journal, and services that live are not to
// be without a supervisor for that.
func (e *Engine) claimOwner() error {
	err := e.store.ballast.spare(e.writeOwner)
	if isFull(err) || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		e.o.Trouble(err)
		return nil
	}
	return err
}

func (e *Engine) writeOwner() error {
	head := e.notes.journal.head
	head.Runtime = e.o.RuntimeDir
	line, _, err := appendLine(nil, head)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteForBoot(filepath.Join(e.o.StateDir, ownerFile), line, 0o600); err != nil {
		return err
	}
	return e.displace()
}

// displace removes the owner's file of the other kind of supervisor. Its journal is ours now:
// whoever found that file and, once we have ended in order, no journal would think that one is
// missing; and it would be taken for the one that was killed if we are.
func (e *Engine) displace() error {
	if e.o.Displaced == "" {
		return nil
	}
	path := filepath.Join(e.o.Displaced, ownerFile)
	head, err := ownerHead(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && head.Runtime != e.o.RuntimeDir {
		return nil
	}
	if err != nil && !errors.Is(err, errNoOwner) {
		return err
	}
	return os.Remove(path)
}

// removeOwner says that nothing is left of us.
func (e *Engine) removeOwner() error {
	err := os.Remove(filepath.Join(e.o.StateDir, ownerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

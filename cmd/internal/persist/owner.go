package persist

import (
	"bytes"
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

// Owner is the owner's file, in a state directory: it says which supervisor has the directories, by
// the head of its journal. It is there from when there is a journal until all services have ended
// in order. So who finds it, of this boot, and no journal, knows that one is missing.
type Owner struct {
	Dir  string
	Head Head
	// Displaced is the state directory of another kind of supervisor that may have had our runtime
	// directory before. "": there is none.
	Displaced string
	// Ballast is what is set aside in Dir.
	Ballast *Ballast
	// Trouble is told why the file cannot be written, where that is no reason to stop.
	Trouble func(error)
}

// ownerFile is its name.
const ownerFile = "supervisor.owner"

// Owned says whether a supervisor has a state directory, or has left services that the next one has
// to know of.
func Owned(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ownerFile))
	return err == nil
}

// CutOff says whether a supervisor of this boot and pid namespace has left services, and its
// runtime directory is gone. One that ends in order, and leaves something behind, leaves its
// journal there. It is for who has made sure that none lives.
func CutOff(dir string) bool {
	head, err := ownerHead(filepath.Join(dir, ownerFile))
	here, hereErr := NewHead()
	if err != nil || hereErr != nil || head.Runtime == "" {
		return false
	}
	_, err = os.Lstat(filepath.Join(head.Runtime, JournalFile))
	doubt, readErr := readOwner(dir, here)
	return errors.Is(err, fs.ErrNotExist) && doubt != nil && readErr == nil
}

// readOwner returns why services may run of which nothing is known, for somebody who has found no
// journal.
func readOwner(dir string, here Head) (doubt, err error) {
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

func ownerHead(path string) (head Head, err error) {
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

// Claim says that we have the directories, with the journal in that runtime directory.
func (o *Owner) Claim(runtimeDir string) error {
	head := o.Head
	head.Runtime = runtimeDir
	line, _, err := appendLine(nil, head)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteForBoot(filepath.Join(o.Dir, ownerFile), line, 0o600); err != nil {
		return err
	}
	return o.displace(runtimeDir)
}

// claimFirst is Claim where the disk lets it. Where it is full or read-only the supervisor goes on
// without, and says so: it is for who finds no journal, and services that live are not to be
// without a supervisor for that.
func (o *Owner) claimFirst(runtimeDir string) error {
	err := o.Ballast.spare(func() error { return o.Claim(runtimeDir) })
	if isFull(err) || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		o.Trouble(err)
		return nil
	}
	return err
}

// displace removes the owner's file of the other kind of supervisor. Its journal is ours now:
// whoever found that file and, once we have ended in order, no journal would think that one is
// missing; and it would be taken for the one that was killed if we are.
func (o *Owner) displace(runtimeDir string) error {
	if o.Displaced == "" {
		return nil
	}
	path := filepath.Join(o.Displaced, ownerFile)
	head, err := ownerHead(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && head.Runtime != runtimeDir {
		return nil
	}
	if err != nil && !errors.Is(err, errNoOwner) {
		return err
	}
	return os.Remove(path)
}

// remove says that nothing is left of us.
func (o *Owner) remove() error { return removed(os.Remove(filepath.Join(o.Dir, ownerFile))) }

// Found is what of an earlier supervisor's journal was found. It is read before anything is done,
// and reading changes nothing: what cannot be read is left for a program that can.
type Found[R Record] struct {
	Records map[string]R
	Faults  []error // what is in it, or missing, that cannot be used
	// Unsure are the records after which something could not be read: it may have been said anew
	// what they say.
	Unsure map[string]bool
	There  bool // there is a journal
	// Refused is why the journal is not used, nil if it is, or if there is none.
	Refused error
	// Doubt is why services may run of which no record tells, nil if there are none such.
	Doubt error
}

// Find reads the journal in a runtime directory, and where there is none the owner's file in a
// state directory. An error means that it is not known what runs: there is no going on without it.
func Find[R Record](stateDir, runtimeDir string) (found Found[R], err error) {
	here, err := NewHead()
	if errors.Is(err, errors.ErrUnsupported) {
		return found, nil // without a boot id no process can be named for ever
	}
	if err != nil {
		return found, err
	}
	here.Runtime = runtimeDir
	found, err = readJournal[R](filepath.Join(runtimeDir, JournalFile), here)
	var spoilt *spoiltError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.Doubt, err = readOwner(stateDir, here)
		return found, err
	case errors.Is(err, errPast):
	case errors.Is(err, errCopy):
		found.Doubt = errCopy
	case errors.As(err, &spoilt):
		found.Doubt = errors.New("what was known of it cannot be read")
	case err != nil:
		return found, err
	case len(found.Faults) > 0:
		found.Doubt = errors.New("what was known of it cannot all be read")
	}
	found.There, found.Refused = true, err
	return found, nil
}

// Take makes the journal and the owner's file ours, of all records. However this is interrupted,
// the next supervisor finds what this one has found, or what it made of it.
func (j *Journal[R]) Take(found Found[R], list []R) error {
	spoilt := found.There && (found.Refused != nil || len(found.Faults) > 0)
	if found.There && !spoilt {
		return j.Owner.claimFirst(j.dir)
	}
	if spoilt { // the owner's file says that there was one
		if err := j.Owner.claimFirst(j.dir); err != nil {
			return err
		}
		if err := putAside(j.path(), found.Refused); err != nil {
			return err
		}
	}
	if err := j.Replace(list); err != nil || spoilt {
		return err
	}
	return j.Owner.claimFirst(j.dir)
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

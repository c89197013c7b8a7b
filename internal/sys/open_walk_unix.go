//go:build unix && !aix

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links Linux follows in one path (path_resolution(7)).
const maxLinks = 40

// A place is where the walk stands: a directory, held by a descriptor on Linux
// and by name elsewhere (open_linux.go, bsd.go). Its methods never follow a
// symbolic link, but for enterMagic and openMagic.
//
// An entry is what a name in that directory meant when it was looked up.
type entry struct {
	place // open only if the entry is a directory or a link (Linux)
	fi    fs.FileInfo
}

// walk is one run of OpenTrusted.
type walk struct {
	path  string // as the caller wrote it
	o     TrustedOpen
	at    place
	names []string // what is left of the path
	seen  string   // the way so far, for messages
	links int
}

// OpenTrusted opens or creates a file by a path on which only root and we have
// a say. It walks the path component by component and follows a symbolic link
// only if root or our effective user owns it, so a link that somebody planted
// in /tmp leads nowhere; the refusal names the component and its owner and
// wraps ErrInsecure. Links of /proc, such as the one behind /dev/stdout, are
// followed by the kernel under the same condition.
//
// With O_CREATE, an existing regular file in a directory that others may write
// is refused if it has a second hard link, or if somebody else owns both: the
// rule of fs.protected_regular (proc_sys_fs(5)), in force whatever the sysctl says.
//
// No open waits for a peer: a FIFO without a reader cannot be written to (ENXIO, which is said in
// words). What is opened is in blocking mode all the same.
//
// created reports whether this call made the file. If its mode or owner cannot
// be set, it is removed again.
//
// Linux walks with O_PATH descriptors, so nothing can be exchanged under it.
// Elsewhere the walk goes by names, and the file opened is compared with the one looked at.
func OpenTrusted(path string, o TrustedOpen) (f *os.File, created bool, err error) {
	w := &walk{path: path, o: o}
	fail := func(err error) (*os.File, bool, error) {
		return nil, false, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if path == "" || strings.ContainsRune(path, 0) {
		return fail(syscall.ENOENT)
	}
	if err := w.aim(path); err != nil {
		return fail(err)
	}
	defer func() { w.at.close() }()
	for tries := 0; ; {
		f, created, err := w.step()
		switch {
		case err == errRaced && tries < 100:
			tries++ // the last component changed under us; look again
		case err != nil:
			return fail(err)
		case f != nil:
			return f, created, nil
		}
	}
}

// MakeTrustedDir makes a directory by a path on which only root and we have a say, as OpenTrusted
// makes a file: with exactly this mode, whatever the umask, and this owner. Everything above it
// must be there, and what it is made in must belong to root or us, and be writable to others only
// with the sticky bit. The error wraps fs.ErrExist where there is something of that name.
func MakeTrustedDir(path string, mode fs.FileMode, owner Owner) error {
	w := &walk{path: path}
	err := w.aim(filepath.Clean(path))
	defer func() { w.at.close() }()
	for err == nil && len(w.names) > 1 {
		_, _, err = w.step()
	}
	if err == nil {
		err = w.at.unexchangeable()
	}
	if err == nil {
		err = w.at.mkdir(w.names[0], mode, owner)
	}
	if err != nil {
		return &fs.PathError{Op: "make directory", Path: path, Err: err}
	}
	return nil
}

// RemoveTrusted removes the file at path, by a way that OpenTrusted would go, if it is the one that
// info is of. It is no error if there is another one, or none.
func RemoveTrusted(path string, info fs.FileInfo) error {
	w := &walk{path: path}
	err := w.aim(path)
	defer func() { w.at.close() }()
	for link := true; err == nil && (link || len(w.names) > 1); {
		if len(w.names) > 1 {
			_, _, err = w.step()
			continue
		}
		link, err = w.stepLink()
	}
	if err == nil {
		err = w.removeSame(w.names[0], info)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// stepLink follows the last component, if it is a link with a text.
func (w *walk) stepLink() (link bool, err error) {
	name := w.names[0]
	e, err := w.at.lookup(name)
	if err != nil {
		return false, bare(err)
	}
	defer e.close()
	if e.fi.Mode().Type() != fs.ModeSymlink || w.at.magic(e) {
		return false, nil
	}
	_, _, err = w.follow(name, filepath.Join(w.seen, name), true, e)
	return true, err
}

// unexchangeable says what lets somebody else exchange what is made in the directory.
func (p place) unexchangeable() error {
	fi, err := p.stat()
	if err != nil {
		return err
	}
	return guarded(fi, fi.Name(), 0o002, "everybody")
}

// guarded says what lets somebody else than root and us exchange what is in a directory: its owner,
// or who of writers may write to it, unless the sticky bit keeps them from it.
func guarded(dir fs.FileInfo, name string, writers fs.FileMode, who string) error {
	owner, _, err := FileOwner(dir)
	switch mode := dir.Mode(); {
	case err != nil:
		return err
	case !trustedUID(owner.UID):
		return fmt.Errorf("%w: %s belongs to user %d", ErrInsecure, name, owner.UID)
	case mode.Perm()&writers != 0 && mode&fs.ModeSticky == 0:
		return fmt.Errorf("%w: %s can write to %s", ErrInsecure, who, name)
	}
	return nil
}

// errRaced says that a name changed its meaning between two looks at it.
var errRaced = errors.New("it keeps being exchanged while we look")

// aim puts path before what is left to walk; an absolute one starts at the root.
func (w *walk) aim(path string) error {
	if strings.HasPrefix(path, "/") || w.seen == "" {
		start := "."
		if strings.HasPrefix(path, "/") {
			start = "/"
		}
		at, err := openPlace(start)
		if err != nil {
			return fmt.Errorf("%s: %w", start, err)
		}
		w.at.close()
		w.at, w.seen = at, start
	}
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	if strings.HasSuffix(path, "/") || len(names) == 0 {
		names = append(names, ".") // a directory is meant, and step refuses it
	}
	w.names = append(names, w.names...)
	return nil
}

// step walks one component. It returns the file when that was the last one.
func (w *walk) step() (*os.File, bool, error) {
	name, last := w.names[0], len(w.names) == 1
	here := filepath.Join(w.seen, name)
	if name == "." { // left by aim for a path that ends in a slash
		if !last {
			w.names = w.names[1:]
			return nil, false, nil
		}
		return nil, false, syscall.EISDIR
	}
	if err := w.closed(); err != nil {
		return nil, false, err
	}
	e, err := w.at.lookup(name)
	switch {
	case errors.Is(err, syscall.ENOENT) && last && w.o.Flags&os.O_CREATE != 0:
		f, err := w.create(name)
		return f, f != nil, err
	case err != nil && last:
		return nil, false, bare(err)
	case err != nil:
		return nil, false, fmt.Errorf("%s: %w", here, bare(err))
	}
	kind := e.fi.Mode().Type()
	switch {
	case kind == fs.ModeSymlink:
		defer e.close()
		return w.follow(name, here, last, e)
	case last:
		defer e.close()
		f, err := w.open(name, e.fi)
		return f, false, err
	case kind != fs.ModeDir:
		e.close()
		return nil, false, fmt.Errorf("%s: %w", here, syscall.ENOTDIR)
	}
	w.at.close()
	w.at, w.seen, w.names = e.place, here, w.names[1:]
	return nil, false, nil
}

// closed refuses the directory to be looked into, where everything is to be ours, if others may put
// something there.
func (w *walk) closed() error {
	if !w.o.Ours {
		return nil
	}
	fi, err := w.at.stat()
	if err != nil {
		return fmt.Errorf("%s: %w", w.seen, bare(err))
	}
	return guarded(fi, w.seen, 0o022, "others")
}

// follow goes through a symbolic link, if it is root's or ours.
func (w *walk) follow(name, here string, last bool, e entry) (*os.File, bool, error) {
	owner, _, err := FileOwner(e.fi)
	if err != nil {
		return nil, false, err
	}
	if !trustedUID(owner.UID) {
		return nil, false, fmt.Errorf("%w: %s is a symbolic link owned by user %d",
			ErrInsecure, here, owner.UID)
	}
	if last && w.o.Flags&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL {
		return nil, false, syscall.EEXIST // as open(2): the link itself is what exists
	}
	if w.links++; w.links > maxLinks {
		return nil, false, fmt.Errorf("%s: %w", here, syscall.ELOOP)
	}
	if w.at.magic(e) {
		if last {
			f, err := w.openMagic(name)
			return f, false, err
		}
		at, err := w.at.enterMagic(name)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", here, bare(err))
		}
		w.at.close()
		w.at, w.seen, w.names = at, here, w.names[1:]
		return nil, false, nil
	}
	target, err := w.at.readlink(name, e)
	if err == nil && target == "" {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, false, fmt.Errorf("read link %s: %w", here, bare(err))
	}
	w.names = w.names[1:]
	return nil, false, w.aim(target)
}

// bare strips what the os package adds: OpenTrusted's own error names the path.
func bare(err error) error {
	if errno, ok := Errno(err); ok {
		return errno
	}
	return err
}

func trustedUID(uid int) bool { return uid == 0 || uid == os.Geteuid() }

// FileIDOf returns the id of a file that info, of package os, tells of; the zero value where it
// does not tell.
func FileIDOf(info fs.FileInfo) FileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return FileID{}
	}
	return FileID{uint64(st.Dev), uint64(st.Ino)}
}

// FileOwner returns what os.FileInfo hides behind Sys: the owner and the number of hard links.
func FileOwner(fi fs.FileInfo) (owner Owner, links uint64, err error) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return Owner{}, 0, Unsupported("file owner")
	}
	return Owner{UID: int(st.Uid), GID: int(st.Gid)}, uint64(st.Nlink), nil
}

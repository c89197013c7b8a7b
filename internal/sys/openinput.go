package sys

import "os"

// OpenInput opens for reading what somebody has named for the use of user c: nil is ourselves. It
// never waits for a peer, though a dead file server or a FUSE file system may still keep it
// waiting.
//
// It is opened with the rights of c, so that no link leads to what c could not have read anyway.
// What c may not read is opened with our own rights if nobody but root and us could have put it
// there: every directory on the way and the file are out of everybody else's reach, and no link on
// it is another's. So a file of secrets that root alone may read can be given to a service, and not
// one that the service itself has put in its place.
//
// Where a thread has no user of its own (anywhere but on Linux, and there before 5.6), and for root
// itself, it is opened with our rights, by OpenTrusted's rule: no link that somebody else could
// have planted is followed.
//
// A FIFO that has a name is opened for writing too: so it needs no writer to begin with, and has
// no end when the first of several goes.
func OpenInput(path string, c *Credential) (*os.File, error) { return openInput(path, c) }

// NamedFIFO says whether f is a FIFO that has a name, and not one of pipe(2).
func NamedFIFO(f *os.File) (bool, error) { return namedFIFO(f) }

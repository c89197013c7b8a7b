package spawn

import (
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// description is a Spec on the stage's side: the same, with bare descriptors
// where the Spec has files.
type description struct {
	Spec
	fds    []passed // Spec.Files
	births []int    // Spec.Birth.Files
	crash  int      // Spec.Birth.Crash, -1 for none
	hold   int      // Spec.Hold, -1 for none
	record int      // Spec.Record.File
	parent int      // who started it, for DeathSignal
	stderr int      // what standard error is in this process; not sent
	shared bool     // applied in a process that has work of its own and stays as it is; not sent

	// told of the steps that a file system may hold up; may be nil, not sent
	reached func(Step, string)
	// asked right before the fork, for good; may be nil, not sent
	forking func() bool
}

// passed is a descriptor to pass and its number in the target.
type passed struct{ target, source int }

// describe turns s into what is sent: the message, and the descriptors that travel with it.
func (s *Spec) describe() description {
	d := description{Spec: *s, crash: -1, hold: -1, parent: os.Getpid(), stderr: 2}
	if s.Hold != nil {
		d.hold = int(s.Hold.Fd())
	}
	if s.Record != nil {
		d.record = int(s.Record.File.Fd())
	}
	for _, f := range s.Files {
		d.fds = append(d.fds, passed{f.FD, int(f.Source.Fd())})
	}
	for _, f := range s.RawFiles {
		d.fds = append(d.fds, passed{f.FD, f.Source})
	}
	if s.Birth != nil {
		for _, f := range s.Birth.Files {
			d.births = append(d.births, int(f.Fd()))
		}
		if s.Birth.Crash != nil {
			d.crash = int(s.Birth.Crash.Fd())
		}
	}
	return d
}

func (s *description) encode() (payload []byte, files []int) {
	var e encoder
	e.string(s.Path)
	e.strings(s.Args)
	e.strings(s.Env)
	e.strings(s.ListenNames)
	e.string(s.Cgroup)
	e.optionalInt(s.OOMScoreAdj)
	e.optionalInt(s.Nice)
	e.optionalInt(s.Umask)
	e.uint(uint64(len(s.Rlimits)))
	for _, r := range s.Rlimits {
		e.string(r.Name)
		e.uint(uint64(r.Resource))
		e.uint(r.Limit.Soft)
		e.uint(r.Limit.Hard)
	}
	e.string(s.Chroot)
	if e.optional(s.Credential != nil) {
		e.uint(uint64(s.Credential.UID))
		e.uint(uint64(s.Credential.GID))
		e.uint(uint64(len(s.Credential.Groups)))
		for _, g := range s.Credential.Groups {
			e.uint(uint64(g))
		}
	}
	if e.optional(s.Caps != nil) {
		e.uint(uint64(*s.Caps))
	}
	e.bool(s.NoNewPrivs)
	e.string(s.Dir)
	e.bool(s.LetGo)
	e.uint(uint64(s.FailAt))
	e.uint(uint64(s.DeathSignal))
	e.uint(uint64(s.parent))
	e.uint(uint64(len(s.fds)))
	for _, f := range s.fds {
		e.uint(uint64(f.target))
		files = append(files, f.source)
	}
	if e.optional(s.Birth != nil) {
		e.bytes(s.Birth.Payload)
		e.uint(uint64(len(s.births)))
		files = append(files, s.births...)
		if e.optional(s.crash >= 0) {
			files = append(files, s.crash)
		}
	}
	if e.optional(s.hold >= 0) {
		files = append(files, s.hold)
	}
	if e.optional(s.Record != nil) {
		e.string(s.Record.Path)
		files = append(files, s.record)
	}
	return e.b, files
}

func (e *encoder) optionalInt(v *int) {
	if e.optional(v != nil) {
		e.int(int64(*v))
	}
}

func (d *decoder) optionalInt() *int {
	if !d.bool() {
		return nil
	}
	v := int(d.int())
	return &v
}

func decodeDescription(payload []byte, files []int) (*description, error) {
	d := decoder{b: payload}
	s := &description{crash: -1, hold: -1}
	s.Path = d.string()
	s.Args = d.strings()
	s.Env = d.strings()
	s.ListenNames = d.strings()
	s.Cgroup = d.string()
	s.OOMScoreAdj = d.optionalInt()
	s.Nice = d.optionalInt()
	s.Umask = d.optionalInt()
	for range d.count() {
		s.Rlimits = append(s.Rlimits, Rlimit{
			Name: d.string(), Resource: int(d.uint()), Limit: sys.Rlimit{Soft: d.uint(),
				Hard: d.uint()},
		})
	}
	s.Chroot = d.string()
	if d.bool() {
		c := &sys.Credential{UID: uint32(d.uint()), GID: uint32(d.uint())}
		for range d.count() {
			c.Groups = append(c.Groups, uint32(d.uint()))
		}
		s.Credential = c
	}
	if d.bool() {
		caps := sys.CapSet(d.uint())
		s.Caps = &caps
	}
	s.NoNewPrivs = d.bool()
	s.Dir = d.string()
	s.LetGo = d.bool()
	s.FailAt = Step(d.uint())
	s.DeathSignal = sys.Signal(d.uint())
	s.parent = int(d.uint())
	return s, d.takeFiles(s, files)
}

// takeFiles assigns the received descriptors; there must be exactly as many as the message names.
func (d *decoder) takeFiles(s *description, files []int) error {
	take := func() int {
		if len(files) == 0 {
			d.fail()
			return -1
		}
		fd := files[0]
		files = files[1:]
		return fd
	}
	for range d.count() {
		s.fds = append(s.fds, passed{target: int(d.uint()), source: take()})
	}
	if d.bool() {
		s.Birth = &Birth{Payload: d.bytes()}
		for n := d.uint(); n > 0 && d.err == nil; n-- {
			s.births = append(s.births, take())
		}
		if d.bool() {
			s.crash = take()
		}
	}
	if d.bool() {
		s.hold = take()
	}
	if d.bool() {
		s.Record = &Record{Path: d.string()}
		s.record = take()
	}
	if d.err == nil && (len(d.b) > 0 || len(files) > 0) {
		d.fail()
	}
	return d.err
}

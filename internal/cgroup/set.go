package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Set are the parents of the groups of all services of a supervisor: one for those that run
// anywhere, and one for each group that a service names.
type Set struct {
	records  string // directory of the records
	byParent map[string]*Parent
}

// Open finds or makes the group for services that name none, which is wanted below a directory, or
// as Auto or None say. The records that tell a successor of the groups are in a directory.
func Open(wanted, records string) (*Set, error) {
	s := &Set{records: records, byParent: map[string]*Parent{}}
	p, err := open(wanted, s.record(""))
	if err != nil {
		return nil, err
	}
	s.byParent[""] = p
	return s, nil
}

// record is the file that says where the groups of services are that run in parent.
func (s *Set) record(parent string) string {
	if parent == "" {
		return filepath.Join(s.records, "cgroup")
	}
	return filepath.Join(s.records, "cgroup-"+short(parent))
}

// For is where the groups of a service are that is to run in parent, "" for anywhere. A nil set has
// none.
func (s *Set) For(parent string) *Parent {
	if s == nil {
		return nil
	}
	if p := s.byParent[parent]; p != nil {
		return p
	}
	p, err := open(parent, s.record(parent))
	if err != nil {
		return &Parent{why: err} // the next start looks again
	}
	s.byParent[parent] = p
	return p
}

// Groups lists those that are there.
func (s *Set) Groups() (list []*Group) {
	if s == nil {
		return nil
	}
	for _, p := range s.byParent {
		list = append(list, p.Groups()...)
	}
	return list
}

// Close removes what is empty by now.
func (s *Set) Close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, p := range s.byParent {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Remember writes down anew what is missing in the directory of the records, which may be another
// one by now.
func (s *Set) Remember(records string) error {
	if s == nil {
		return nil
	}
	s.records = records
	var errs []error
	for parent, p := range s.byParent {
		p.record = s.record(parent)
		if _, err := os.Lstat(p.record); p.Dir != "" && errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, p.remember())
		}
	}
	return errors.Join(errs...)
}

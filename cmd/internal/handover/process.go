package handover

import (
	"fmt"
	"strconv"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// ToProcess is what a start hands to the process besides its streams, in this order
// (sd_listen_fds(3)). It is used away from the owner of the table.
type ToProcess struct {
	sockets []*holder
	names   []string // of sockets
	stored  []stored // copies
	limit   int      // of the descriptor store, for $FDSTORE
	err     error    // why there is no handover
	// alone: no living process has the sockets. They are made blocking then, as systemd hands them
	// over; a process that serves must not find its own non-blocking socket blocking. Those that
	// the description wants non-blocking are made so always: each process of the service was handed
	// them so.
	alone bool
}

// mostHandedOver is how many descriptors a process is handed; spawn passes 240 at most, its streams
// among them.
const mostHandedOver = 200

// storeLimit is how many descriptors a service may leave with us.
func storeLimit(s *spec.Service) int {
	return max(0, min(s.FDStore, mostHandedOver-len(s.Sockets)))
}

// ToProcess is what the process of u is handed: the sockets that u holds, and what its service has
// stored. runs says which other users have a process, or soon will.
func (t *Table[U]) ToProcess(u, service U, described *spec.Service, runs func(U) bool) ToProcess {
	p := ToProcess{
		sockets: t.holders(u),
		alone:   !t.sharesWith(u, runs),
		limit:   storeLimit(described),
	}
	for _, one := range described.Sockets {
		p.names = append(p.names, one.Name)
	}
	if st := t.stores[service]; st != nil {
		p.stored, p.err = st.copies()
	}
	return p
}

func (st *store) copies() (list []stored, err error) {
	for _, f := range st.files {
		fd, err := sys.DupAbove(f.fd, 3)
		if err != nil {
			CloseAway(numbers(list))
			return nil, fmt.Errorf("descriptor store: %s: %w", f.name, err)
		}
		list = append(list, stored{fd: fd, name: f.name})
	}
	return list, nil
}

func numbers(list []stored) (fds []int) {
	for _, f := range list {
		fds = append(fds, f.fd)
	}
	return fds
}

// Fill opens what is not open yet and puts everything into a description of the process.
func (p *ToProcess) Fill(sp *spawn.Spec) error {
	if p.err != nil {
		return p.err
	}
	next := 3 // SD_LISTEN_FDS_START
	pass := func(fd int, name string) {
		sp.RawFiles = append(sp.RawFiles, spawn.RawFile{FD: next, Source: fd})
		sp.ListenNames = append(sp.ListenNames, name)
		next++
	}
	for i, h := range p.sockets {
		fd, err := h.open()
		if err != nil {
			return err
		}
		if p.alone || h.spec.Nonblocking {
			if err := sys.SetNonblock(fd, h.spec.Nonblocking); err != nil {
				return fmt.Errorf("socket %s: %w", h.spec.Listen, err)
			}
		}
		pass(fd, p.names[i])
	}
	for _, f := range p.stored {
		pass(f.fd, f.name)
	}
	if p.limit > 0 {
		sp.Env = append(sp.Env, "FDSTORE="+strconv.Itoa(p.limit))
	}
	return nil
}

// Close closes what only the start needed.
func (p *ToProcess) Close() { CloseAway(numbers(p.stored)) }

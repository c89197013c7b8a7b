// Package successor puts another program in the place of a running supervisor, in the same process.
//
// The new program proves itself first: Try runs it beside us and has it read, and not change, all
// that it would have to go on with. Become executes it in this process, which keeps its pid, its
// children and the descriptors that a Manifest lists. Found tells the new program what it has got.
package successor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// manifestVersion is the version of Manifest. A program reads its own version and the ones from
// oldestVersion on: what comes from a predecessor that gives a successor its orders in another way
// would not be found.
const (
	manifestVersion = 2
	oldestVersion   = 2
)

// Manifest says which open descriptors of this process are what. The numbers stay the same over
// execve(2). The zero of a number means that there is none: 0 is standard input.
type Manifest struct {
	Version int `json:"version"`

	StateLock   int    `json:"state_lock"`   // locked file in the state directory
	RuntimeLock int    `json:"runtime_lock"` // the runtime directory itself, locked
	Control     int    `json:"control"`      // listening, unix
	TCP         int    `json:"tcp,omitzero"` // listening
	TCPAddress  string `json:"tcp_address,omitzero"`

	Engine handover.ToProgram `json:"engine"`
}

// numbers are all descriptors in it.
func (m *Manifest) numbers() []int {
	list := []int{m.StateLock, m.RuntimeLock, m.Control}
	if m.TCP > 0 {
		list = append(list, m.TCP)
	}
	return append(list, m.Engine.FDs()...)
}

// handoverName is ours among what one program leaves to the next.
const handoverName = "supervisor"

// Become executes the program with our own arguments and environment, and what m lists. It returns
// only if that failed; then nothing has changed.
func Become(program string, m Manifest) (err error) {
	m.Version = manifestVersion
	file, err := write(m)
	if err != nil {
		return fmt.Errorf("write down what is handed over: %w", err)
	}
	defer file.Close()
	defer func() {
		for _, fd := range m.numbers() {
			err = errors.Join(err, sys.SetCloseOnExec(fd, true))
		}
	}()
	for _, fd := range m.numbers() {
		if err := sys.SetCloseOnExec(fd, false); err != nil {
			return err
		}
	}
	return spawn.Replace(program, os.Args, os.Environ(), append(spawn.Handovers(), spawn.Handover{
		Name: handoverName,
		Give: func() ([]byte, []*os.File) { return nil, []*os.File{file} },
	}))
}

func write(m Manifest) (*os.File, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	file, err := sys.MemoryFile("daemonry-manifest")
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(data); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Expected says whether Found has something.
func Expected() bool {
	born := spawn.Inherited()
	if born == nil || !born.Successor {
		return false
	}
	_, _, found := born.Handover(handoverName)
	return found
}

// Found returns what this program has got from the one that was in this process before it, nil if
// there was none. The descriptors in it are close-on-exec again.
func Found() (*Manifest, error) {
	if !Expected() {
		return nil, nil
	}
	_, files, _ := spawn.Inherited().Handover(handoverName)
	if len(files) != 1 {
		return nil, fmt.Errorf("%d files from the program before, one is needed", len(files))
	}
	defer files[0].Close()
	m, err := read(io.NewSectionReader(files[0], 0, 1<<30))
	if err != nil {
		return nil, fmt.Errorf("what the program before handed over: %w", err)
	}
	for _, fd := range m.numbers() {
		if err := sys.SetCloseOnExec(fd, true); err != nil {
			return nil, fmt.Errorf("what the program before handed over: %w", err)
		}
	}
	// There is no way back: what else of this program takes somebody's place takes it now.
	var errs []error
	for _, l := range spawn.Handovers() {
		if l.Succeed != nil {
			errs = append(errs, l.Succeed())
		}
	}
	return m, errors.Join(errs...)
}

func read(r io.Reader) (*Manifest, error) {
	var m Manifest
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		return nil, err
	}
	if m.Version < oldestVersion || m.Version > manifestVersion {
		return nil, fmt.Errorf("written in version %d, and this program reads %d to %d",
			m.Version, oldestVersion, manifestVersion)
	}
	return &m, nil
}

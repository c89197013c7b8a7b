package boot

import (
	"context"
	"errors"
	"fmt"
)

// Status is how a boot service is.
type Status struct {
	Name   string   `json:"name"`
	System System   `json:"system"`
	Files  []string `json:"files"` // what was written for it; none if it is not enabled through us
	// Enabled says that it is started at boot.
	Enabled bool `json:"enabled"`
	// Running says that it is up, with every instance it has.
	Running bool `json:"running"`
	// PID of its main process, 0 if there is none, several, or it is not known.
	PID int `json:"pid,omitzero"`
	// State in the manager's own word, where it has one: "active", "failed".
	State string `json:"state,omitempty"`
}

// Status asks the init system about a service that was enabled through us.
// Of a tree that is not running nothing but Files and Enabled is known.
func (m *Machine) Status(ctx context.Context, name string) (Status, error) {
	st := Status{Name: name, System: m.System, Files: []string{}}
	mgr, have, err := m.written(name)
	if err != nil || len(have) == 0 {
		return st, err
	}
	st, err = mgr.status(ctx, have)
	st.Name, st.System, st.Files = name, m.System, []string{}
	for _, f := range have {
		st.Files = append(st.Files, f.path)
	}
	return st, err
}

// written finds what was written for a service, changed or not.
func (m *Machine) written(name string) (manager, []found, error) {
	mgr, _, err := m.manager()
	if err != nil {
		return nil, nil, err
	}
	have, err := m.find([]string{name})
	if changed, ok := errors.AsType[*ChangedError](err); ok {
		return mgr, changed.all, nil
	}
	return mgr, have, err
}

// Start has the init system start a service that was enabled through us.
func (m *Machine) Start(ctx context.Context, name string) error {
	return m.control(ctx, "start", name)
}

// Stop has the init system stop a service; it stays enabled.
func (m *Machine) Stop(ctx context.Context, name string) error {
	return m.control(ctx, "stop", name)
}

// Restart stops and starts it.
func (m *Machine) Restart(ctx context.Context, name string) error {
	return m.control(ctx, "restart", name)
}

func (m *Machine) control(ctx context.Context, verb, name string) error {
	mgr, have, err := m.written(name)
	switch {
	case err != nil:
		return err
	case len(have) == 0:
		return fmt.Errorf("%s: %w", name, ErrNotEnabled)
	case !m.live():
		return fmt.Errorf("%s %s: %s is not running", verb, name, m.Root)
	}
	return mgr.control(ctx, verb, have)
}

// ErrNotEnabled says that no boot service of that name was written by us.
var ErrNotEnabled = errors.New("is no boot service of ours")

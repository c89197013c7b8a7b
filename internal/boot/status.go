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
	mgr, _, err := m.manager()
	if err != nil {
		return st, err
	}
	have, err := m.find([]string{name})
	var changed *ChangedError
	if err != nil && !errors.As(err, &changed) {
		return st, err
	}
	if changed != nil {
		have = changed.all
	}
	if len(have) == 0 {
		return st, nil
	}
	st, err = mgr.status(ctx, have)
	st.Name, st.System, st.Files = name, m.System, []string{}
	for _, f := range have {
		st.Files = append(st.Files, f.path)
	}
	return st, err
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
	mgr, _, err := m.manager()
	if err != nil {
		return err
	}
	have, err := m.find([]string{name})
	var changed *ChangedError
	if errors.As(err, &changed) {
		have, err = changed.all, nil
	}
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

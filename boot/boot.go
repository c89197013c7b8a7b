// Package boot installs a program as a service of the machine's init system, and runs it as one.
//
// The init system is found by what runs, not by the operating system's name:
// systemd, launchd, OpenRC, SysV init, runit, s6 or rc(8) of FreeBSD; Systems lists
// them, and Service.System chooses another one. Root gets
// a service of the machine; anybody else one of their own, which systemd and
// launchd have. What is written is what "daemonry enable --native" writes, so
// that command can take it away too.
//
// A whole program, which can be installed, and runs alike under an init system,
// at a terminal and in a container:
//
//	func main() {
//		service := boot.Service{Spec: spec.Service{Name: "shop"}}
//		os.Exit(service.Main(context.Background(), boot.Program{Start: listen, Run: serve}))
//	}
//
// Program alone does the latter for a program that nobody installs, and Run the
// former for one that is started in its own way.
//
// An installation is whole or not at all: if a step fails, those before it are
// undone. A file that somebody else has written, or changed, is never touched.
//
// Of all public packages this is the heaviest: it imports os/exec, for init
// systems are talked to by their commands, and the writers of all formats. It
// depends on no other module than golang.org/x/sys, and links no C.
package boot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/spec"
)

// Service is a program as a service. The zero value is the program that runs,
// without arguments, under its own name.
type Service struct {
	// Args of the program that runs, when it is a service. Not used if
	// Spec.Command is set.
	Args []string
	// Spec is everything else. What is empty has the defaults of package spec,
	// but for Name, which is that of the program, Command, which is the
	// program by its absolute path and Args, and Chdir, which is "/". A program that was
	// started by way of a link has the name and the path of the link.
	//
	// A program that says when it is ready, by daemonry.Ready or sd_notify(3),
	// sets Spec.Ready to {Kind: spec.ProbeNotify}: then Install and Start
	// return when it is, where the init system can wait for that.
	Spec spec.Service
	// System is the init system by its name, if it is not to be the one that the machine boots
	// with: see [Systems]. One that is not here is an error that names those that are.
	System string
	// Scope says whose service it is.
	Scope Scope
	// User is whose own service it is, by name, if not of who calls: for root, with systemd 248 or
	// later, where that user is logged in or may linger.
	User string
	// Linger has Install see to it that a user's service of systemd is started at boot and goes on
	// after the last logout ("loginctl enable-linger"). Without it a note says how. It stays so
	// after Uninstall, for others may need it.
	Linger bool

	// TakeArgs has Install take over the arguments of the running program, without the word
	// "install", after Args. They become those of the service as they are: a note names those that
	// are relative names of files. One that looks like a password is an error.
	TakeArgs bool
	// TakeEnv are names of variables that the service gets as Install finds them in its own
	// environment, besides Spec.Env, which wins. They are written into a file that nobody but its
	// owner may read. One that is not set is an error, and so is one that looks like a secret
	// under launchd, which shows everybody the variables of a service.
	TakeEnv []string

	// DryRun has Install and Uninstall do nothing but say what they would do.
	DryRun bool

	here func() (*boot.Machine, error) // where it is installed; nil: here
}

// Result says what Install or Uninstall have done, or would do.
type Result struct {
	// System is the init system: "systemd", "launchd", "openrc", "sysv",
	// "runit", "s6" or "freebsd".
	System string
	// Steps in their order, one line each. None: all was as it shall be.
	Steps []string
	// Notes are what the init system does otherwise than the service asks, and
	// what else a person should know.
	Notes []string
}

// Status is how the service is.
type Status struct {
	System string
	// Installed says that there are files of the service; Files names them.
	Installed bool
	Files     []string
	// Enabled says that it is started at boot, Running that it is up.
	Enabled, Running bool
	// PID of its process, 0 if there is none, several, or it is not known.
	PID int
	// State in the init system's own word, where it has one: "failed".
	State string
}

// ErrNotInstalled says that the service is not installed, at least not by us.
var ErrNotInstalled = errors.New("is not installed")

// Install writes the service, has it started at every boot, and starts it. It
// may be called again, after a change too: then it does what is missing, and
// the Result says if a restart is needed.
func (s Service) Install(ctx context.Context) (Result, error) {
	svc, m, err := s.resolve()
	if err != nil {
		return Result{}, err
	}
	r, err := s.apply(ctx, m, func() (*boot.Plan, error) {
		return m.Enable(ctx, []spec.Service{svc})
	})
	if s.TakeArgs && err == nil {
		for _, name := range relative(svc.Command[1:], svc.Chdir) {
			r.Notes = append(r.Notes, fmt.Sprintf(
				"command: the service looks for %q in %s, not here", name, svc.Chdir))
		}
	}
	return r, err
}

// Uninstall stops the service and removes what was written for it. A service
// that is not installed is no error.
func (s Service) Uninstall(ctx context.Context) (Result, error) {
	name, m, err := s.find()
	if err != nil {
		return Result{}, err
	}
	return s.apply(ctx, m, func() (*boot.Plan, error) { return m.Disable(ctx, name) })
}

// apply does what is planned, as whose service it is.
func (s Service) apply(
	ctx context.Context, m *boot.Machine, plan func() (*boot.Plan, error),
) (r Result, err error) {
	err = m.As(func() error {
		p, err := plan()
		if err != nil {
			return err
		}
		r = resultOf(p)
		if s.DryRun {
			return nil
		}
		return p.Apply(ctx)
	})
	return r, err
}

func resultOf(plan *boot.Plan) Result {
	r := Result{System: string(plan.System)}
	for _, step := range plan.Steps() {
		r.Steps = append(r.Steps, step.String())
	}
	for _, note := range plan.Notes {
		r.Notes = append(r.Notes, note.Field+": "+note.Text)
	}
	r.Notes = append(r.Notes, plan.Hints...)
	return r
}

// Start starts the service. The error wraps [ErrNotInstalled] if it is not
// installed; so do those of Stop and Restart.
func (s Service) Start(ctx context.Context) error { return s.control(ctx, (*boot.Machine).Start) }

// Stop stops the service until the next boot, or Start.
func (s Service) Stop(ctx context.Context) error { return s.control(ctx, (*boot.Machine).Stop) }

// Restart stops the service and starts it.
func (s Service) Restart(ctx context.Context) error {
	return s.control(ctx, (*boot.Machine).Restart)
}

func (s Service) control(
	ctx context.Context, verb func(*boot.Machine, context.Context, string) error,
) error {
	name, m, err := s.find()
	if err != nil {
		return err
	}
	err = m.As(func() error { return verb(m, ctx, name) })
	if errors.Is(err, boot.ErrNotEnabled) {
		return fmt.Errorf("%s: %w", name, ErrNotInstalled)
	}
	return err
}

// Status asks the init system. A service that is not installed is no error.
func (s Service) Status(ctx context.Context) (Status, error) {
	name, m, err := s.find()
	if err != nil {
		return Status{}, err
	}
	var st boot.Status
	err = m.As(func() (err error) {
		st, err = m.Status(ctx, name)
		return err
	})
	return Status{
		System: string(st.System), Installed: len(st.Files) > 0, Files: st.Files,
		Enabled: st.Enabled, Running: st.Running, PID: st.PID, State: st.State,
	}, err
}

// find returns the name of the service and the machine it is on: all that is
// needed for one that is installed, whatever has become of its program.
func (s Service) find() (string, *boot.Machine, error) {
	name := s.Spec.Name
	if name == "" {
		self, err := boot.OwnProgram()
		if err != nil {
			return "", nil, err
		}
		name = filepath.Base(self)
	}
	if err := spec.CheckName(name); err != nil {
		return "", nil, fmt.Errorf("%w: set Service.Spec.Name", err)
	}
	m, err := s.machine()
	return name, m, err
}

// resolve returns the whole description.
func (s Service) resolve() (spec.Service, *boot.Machine, error) {
	name, m, err := s.find()
	if err != nil {
		return spec.Service{}, nil, err
	}
	svc := s.Spec
	svc.Name = name
	if len(svc.Command) == 0 {
		self, err := ownProgram()
		if err != nil {
			return spec.Service{}, nil, err
		}
		args, err := s.args()
		if err != nil {
			return spec.Service{}, nil, err
		}
		svc.Command = append(spec.Command{self}, args...)
	}
	if err := s.take(&svc, m); err != nil {
		return spec.Service{}, nil, err
	}
	return svc.Resolve("/"), m, nil
}

// ownProgram is the file that this process executes, if it can be there at the
// next boot.
func ownProgram() (string, error) {
	self, err := boot.OwnProgram()
	if err != nil {
		return "", err
	}
	for dir := range strings.SplitSeq(filepath.ToSlash(self), "/") {
		if strings.HasPrefix(dir, "go-build") {
			return "", fmt.Errorf(
				"%s was made by go run, or go test, and will be gone: build the program first",
				self,
			)
		}
	}
	return self, nil
}

package boot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/systemd"
	"github.com/daemonry/daemonry/spec"
)

// supervisorName begins the names of the supervisor's boot services.
const supervisorName = "daemonry"

// Supervisor is the supervisor as a boot service: it restores its services as
// they were wanted.
type Supervisor struct {
	// Program is the daemonry command, absolute.
	Program string
	// Env are the variables that say where its directories are, if they are
	// not where they are by default: DAEMONRY_ROOT, XDG_STATE_HOME, ….
	Env map[string]string
	// Running says that one runs already that the init system did not start: it
	// goes on, and the boot service is enabled without being started.
	Running bool
}

// SupervisorOf is the supervisor of an environment and a user, by the program that is running.
func SupervisorOf(getenv func(string) string, uid int) (Supervisor, error) {
	program, err := OwnProgram()
	if err != nil {
		return Supervisor{}, err
	}
	s := Supervisor{Program: program, Env: map[string]string{}}
	// The variables that package paths looks at and that an init system would not give.
	if root := getenv("DAEMONRY_ROOT"); root != "" { // which is all that counts then
		if !filepath.IsAbs(root) { // as package paths has it
			return s, fmt.Errorf("DAEMONRY_ROOT: %q is not an absolute path", root)
		}
		s.Env["DAEMONRY_ROOT"] = root
		return s, nil
	}
	for _, name := range []string{"XDG_STATE_HOME", "XDG_CONFIG_HOME"} {
		if value := getenv(name); uid != 0 && filepath.IsAbs(value) {
			s.Env[name] = value
		}
	}
	return s, nil
}

// Name of the boot service: "daemonry", or with a DAEMONRY_ROOT one that no
// other root has.
func (s Supervisor) Name() string {
	root := s.Env["DAEMONRY_ROOT"]
	if root == "" {
		return supervisorName
	}
	sum := sha256.Sum256([]byte(root))
	return supervisorName + "-" + hex.EncodeToString(sum[:4])
}

// stopTime is what the supervisor has to end its services. Each has its own
// time; this bounds a supervisor that hangs.
const stopTime = 30 * time.Minute

// render writes the boot service. systemd has a unit of its own making, for a
// supervisor is not a service like others there.
func (s Supervisor) render(target writers.Target, opts writers.Options) (writers.Output, error) {
	if !filepath.IsAbs(s.Program) {
		return writers.Output{}, fmt.Errorf("the program %q is not an absolute path", s.Program)
	}
	if target.Name == string(Systemd) {
		content, err := systemd.SupervisorUnit(
			systemd.Supervisor{Program: s.Program, Env: s.Env, StopTime: stopTime}, opts,
		)
		if err != nil {
			return writers.Output{}, err
		}
		name := s.Name()
		return writers.Output{Files: []writers.File{{
			Path: name + ".service", Mode: 0o644, Service: name, Content: writers.Seal(content,
				name, target.Comment),
		}}}, nil
	}
	return target.Render([]spec.Service{s.service(System(target.Name))}, opts)
}

// service describes the supervisor to init systems other than systemd.
func (s Supervisor) service(system System) spec.Service {
	name := s.Name()
	service := spec.Service{
		Name:    name,
		Command: spec.Command{s.Program, "supervisor", "run"},
		Process: spec.Process{Chdir: "/", Env: s.Env},
		Supervision: spec.Supervision{
			Restart: spec.RestartOnFailure,
			Stop:    spec.StopSchedule{{Signal: "TERM", Wait: spec.Duration(stopTime)}},
		},
		// Beside the directory of the logs of services, not in it.
		Log: spec.Log{File: "/var/log/" + name + "-supervisor.log"},
	}
	// What a system has no word for is not said, so that it makes no notes.
	switch system {
	case Runit, S6:
		service.Log.File = "/var/log/" + name + "-supervisor/current"
	case OpenRC:
		service.Budget.Restarts = new(-1)
	}
	if system == OpenRC || system == SysV || system == FreeBSD {
		service.Description = "Daemonry, the supervisor of services"
	}
	if system == OpenRC || system == FreeBSD || system == Launchd {
		service.Backoff.First = new(spec.Duration(time.Second))
	}
	// The scripts that ask have none of its variables.
	if (system == SysV || system == Runit) && len(s.Env) == 0 {
		service.Ready = spec.Probe{
			Kind:   spec.ProbeCmd,
			Target: spec.Command{s.Program, "supervisor", "status"}.String(),
		}
	}
	return service
}

// judge tells of a program that is not fit to be started at every boot.
func (s Supervisor) judge(p *Plan) {
	for at := s.Program; ; at = filepath.Dir(at) {
		fi, err := os.Stat(p.m.path(at))
		if err != nil {
			p.hint("%s is what is started at every boot: %v; install it there",
				p.m.path(at), plain(err))
			return
		}
		owner, _, err := sys.FileOwner(fi)
		sticky := fi.IsDir() && fi.Mode()&os.ModeSticky != 0
		if !p.m.User && err == nil && (owner.UID != 0 || fi.Mode().Perm()&0o022 != 0 && !sticky) {
			p.hint("%s can be exchanged by others than root, and is started as root at every "+
				"boot: install it in /usr/local/bin", at)
			return
		}
		if at == filepath.Dir(at) {
			return
		}
	}
}

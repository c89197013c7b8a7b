package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/cmd/internal/server"
	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// supervisorCall is what the words of "daemonry supervisor" ask for.
type supervisorCall struct {
	json bool
	logBudget
}

// logBudget is an option of whoever becomes a supervisor.
type logBudget struct{ budget *spec.ByteSize }

func (b *logBudget) option() option {
	return option{"log-budget", "SIZE", "All logs together may take so much, as in 2GiB: the oldest rotated files go first.", "log_budget in [supervisor], or no bound", parsedTo(&b.budget, spec.ParseByteSize)}
}

// over has the option count more than the setting.
func (b *logBudget) over(settings *native.Supervisor) {
	if b.budget != nil {
		settings.LogBudget = *b.budget
	}
}

func supervisorVerb(a *app) *verb {
	call := &supervisorCall{}
	return &verb{
		page: page{
			name:     "supervisor",
			short:    "start, stop and show the supervisor itself",
			synopsis: []string{"daemonry supervisor start | stop", "daemonry supervisor status [--json]", "daemonry supervisor upgrade [FILE]", "daemonry supervisor run [--log-budget SIZE]"},
			about: []string{
				"There is one supervisor for each user; \"start\" and \"up\" start it when it is needed. It is a daemon: it survives the terminal and the login. What is wanted of each service is on disk, so one that is started again starts them again, except those that were stopped by hand.",
				"One that is killed, or crashes, leaves its services running. The next command that concerns services starts another one, which takes them over as they are: docs/survive.md.",
				"\"upgrade\" puts another program in its place, in the same process: this one, or FILE. Services do not notice, and commands wait for a moment. The new program is first run beside it and has to read all that it would go on with; one that cannot, because it crashes, hangs, is older or of another architecture, is not executed, and the supervisor goes on as it was.",
				"\"stop\" stops every service in order first. \"run\" stays in the foreground, for another manager to look after: it says READY=1 by sd_notify(3). Settings are read from [supervisor] in daemonry.toml of the configuration directory. DAEMONRY_ROOT=DIR has all directories under DIR, for one more supervisor beside others.",
			},
			options: []group{{"", []option{{"json", "", "Print an object.", "", toggle(&call.json)}, call.logBudget.option()}}},
			statuses: []row{
				{"0", "it runs; after \"stop\", it does not"},
				{"1", "it could not be started, stopped or upgraded; the message says why"},
				{"3", "\"status\": it does not run"},
				{"4", "\"status\": nobody can say, for it does not answer"},
				{"128+N", "signal N ended the wait"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry supervisor status", "Whether it runs, and with what:"},
				{"./new/daemonry supervisor upgrade", "After a download, without a restart of anything:"},
				{"daemonry supervisor stop", "The end of everything:"},
			},
			seeAlso: []string{"daemonry up", "daemonry status", "daemonry run", "docs/supervisor.md"},
		},
		run: func(words []string) error { return a.supervisorCommand(call, words) },
	}
}

func (a *app) supervisorCommand(call *supervisorCall, words []string) error {
	if len(words) > 0 {
		switch words[0] {
		case "upgrade":
			return a.supervisorUpgrade(call, words[1:])
		case successor.Verb[1]:
			return a.checkState(words[1:])
		}
	}
	if len(words) != 1 {
		e := usagef("", "one of start, stop, status, upgrade and run is needed")
		e.hint = "daemonry supervisor start"
		return e
	}
	if call.budget != nil && words[0] != "run" {
		return usagef("", "--log-budget is for \"supervisor run\": set log_budget in [supervisor] of %s instead", native.DefaultName)
	}
	switch words[0] {
	case "start":
		return a.supervisorStart(call)
	case "stop":
		return a.supervisorStop()
	case "status":
		return a.supervisorStatus(call)
	case "run":
		return a.supervisorRun(call)
	}
	return usagef("", "%q is none of start, stop, status, upgrade and run", words[0])
}

func (a *app) supervisorStart(call *supervisorCall) error {
	ctx, done := untilSignal()
	defer done()
	s, err := a.ensured(ctx)
	if err != nil {
		return err
	}
	return a.aboutSupervisor(ctx, s, call.json)
}

func (a *app) supervisorStatus(call *supervisorCall) error {
	ctx, done := untilSignal()
	defer done()
	s, err := a.session()
	if err == nil {
		err = a.aboutSupervisor(ctx, s, call.json)
	}
	var silent *silentError
	var lost *lostError
	killed := s != nil && err != nil && !errors.As(err, &silent) && !errors.As(err, &lost) && s.killed(ctx)
	if absent(err) || killed {
		e := &statusError{status: exitNotRunning, err: errNoSupervisor}
		if killed {
			e.err = errors.New("no supervisor is running: the last one was killed, and its services may still run")
			e.hint = "daemonry supervisor start takes them over"
			if s.ofRun() {
				e.hint = "it was a \"daemonry run\": the same one again takes them over"
			}
		}
		return e
	}
	return failure(err, exitUnknown, nil)
}

func (a *app) aboutSupervisor(ctx context.Context, s *session, asJSON bool) error {
	about, err := s.Supervisor(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(about)
	}
	took := ""
	if about.Adopted > 0 {
		took = fmt.Sprintf(", %d of them taken over from an earlier one", about.Adopted)
	}
	_, err = fmt.Fprintf(a.out, "supervisor: running: process %d, version %s, for %s, %s%s\n", about.PID, about.Version,
		span(time.Duration(about.Uptime)), counted(about.Services, "service"), took)
	return err
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// supervisorStop returns when the process has ended, not only its services: what comes
// next may be another supervisor.
func (a *app) supervisorStop() error {
	ctx, done := untilSignal()
	defer done()
	s, err := a.reached() // one that was killed has left services
	var lost *lostError
	if errors.As(err, &lost) {
		return a.stopLost(ctx, lost)
	}
	var about control.Supervisor
	if err == nil {
		about, err = s.Supervisor(ctx)
	}
	if absent(err) {
		_, err := fmt.Fprintln(a.out, "supervisor: not running")
		return err
	}
	if err != nil {
		return failure(err, exitFailed, nil)
	}
	process, err := sys.Pin(about.PID)
	if err != nil {
		return err
	}
	defer process.Close()
	// That it is still the one that answered: a pid alone proves nothing.
	if again, err := s.Supervisor(ctx); err != nil || again.PID != about.PID {
		return failure(errors.Join(err, errors.New("the supervisor was exchanged meanwhile")), exitFailed, nil)
	}
	stop, err := a.supervisorStopper(ctx, s, about.PID)
	if err != nil {
		return err
	}
	err = a.watching(ctx, s, nil, isDown, stop)
	if err = interrupted(ctx, err, "the supervisor to end"); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return failure(err, exitFailed, nil)
	}
	if err := awaitLeave(ctx, process, leaveTime); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "supervisor: stopped: process %d\n", about.PID)
	return err
}

// ensured is a session with a supervisor that answers: the one that is there, or a new one.
func (a *app) ensured(ctx context.Context) (*session, error) {
	s, err := a.session()
	if err == nil {
		if _, err = s.Supervisor(ctx); err == nil {
			return s, nil
		}
	}
	if s == nil || !absent(err) && !(broken(err) && s.killed(ctx)) { // one that is dying is about to be absent
		return nil, failure(err, exitOurs, nil)
	}
	byInit, err := a.startBootService(ctx, s)
	if err == nil && !byInit {
		err = a.bear(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// reached is session for what concerns services. If the last supervisor was killed, another one is
// started first: the services run, and only a supervisor that has taken them over can be asked
// about them.
func (a *app) reached() (*session, error) {
	s, err := a.session() // err is also that it does not answer
	if err != nil && !absent(err) {
		return s, err
	}
	ctx, done := untilSignal()
	defer done()
	if !s.orphaned(ctx) {
		return s, err
	}
	return a.ensured(ctx)
}

// orphaned says whether a supervisor was killed that we can put another one in the place of. That
// of a "run" has a file to say what it runs, which we do not know.
func (s *session) orphaned(ctx context.Context) bool { return !s.ofRun() && s.killed(ctx) }

// ofRun says whether the supervisor is, or was, that of a "run", which takes its state along when
// it ends.
func (s *session) ofRun() bool {
	return supervise.Owned(foregroundState(s.paths)) && !supervise.Owned(s.paths.State)
}

// killed says whether the supervisor was killed: one that ends takes its socket along. Where that
// was removed as well, with all of the runtime directory, the state directory tells that services
// were left.
func (s *session) killed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, appearTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s.Supervisor(ctx)
		if !broken(err) {
			return errors.Is(err, syscall.ECONNREFUSED) || absent(err) && supervise.CutOff(s.paths.State)
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C: // it is dying: its socket is about to refuse
		}
	}
}

// broken says whether somebody was there and is not any more.
func broken(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// bear starts a supervisor as a daemon, by way of our own library.
func (a *app) bear(ctx context.Context, s *session) error {
	p, err := paths.Find()
	if err == nil {
		err = p.CreateState()
	}
	if err != nil {
		return &statusError{status: exitOurs, err: fmt.Errorf("start the supervisor: %w", err)}
	}
	log := a.logForSupervisor(p)
	if err := usualLimits(); err != nil {
		return &statusError{status: exitOurs, err: fmt.Errorf("start the supervisor: %w", err)}
	}
	had := lengthOf(log)
	process, err := daemonry.Detach(ctx, daemonry.Options{
		Background: true, // whatever manages us, the supervisor is not what it waits for
		Name:       program,
		Args:       []string{"supervisor", "run"},
		Env:        supervisorEnviron(),
		LogFile:    log,
	})
	if err == nil {
		if err := a.again(s); err != nil {
			return err
		}
		text := fmt.Sprintf("%s: started the supervisor, process %d", program, process.PID)
		if about, err := s.Supervisor(ctx); err == nil && about.Adopted > 0 {
			text += ", which took over " + counted(about.Adopted, "running service")
		}
		if s.paths.Runtime != p.Runtime {
			text += "; its runtime directory is " + s.paths.Runtime
		}
		_, err = fmt.Fprintln(a.err, text)
		return err
	}
	// Somebody else's may have been faster: then there is one, as was wanted.
	if waitErr := a.appear(ctx, s, appearTime); waitErr == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &statusError{status: exitOurs, err: fmt.Errorf("start the supervisor: %w", err)}
	if lengthOf(log) > had {
		e.hint = "its own words are in " + log
	}
	return e
}

// appearTime is how long a supervisor that another command starts may take to answer.
const appearTime = 2 * time.Second

// appear waits until a supervisor answers. Nothing else tells of one that somebody else starts, so
// it is asked for.
func (a *app) appear(ctx context.Context, s *session, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := a.again(s)
		if err == nil {
			_, err = s.Supervisor(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// supervisorRun is the supervisor: born by bear, or in the foreground for another manager.
func (a *app) supervisorRun(call *supervisorCall) error {
	p, err := paths.Find()
	if err == nil && (daemonry.IsDaemon() || successor.Expected()) {
		_, err = daemonry.Detach(context.Background(), daemonry.Options{})
	}
	if err == nil {
		err = a.supervise(p, call)
	}
	if err != nil && daemonry.IsDaemon() {
		daemonry.Fail(err) // whoever started us wants to know
	}
	return err
}

func (a *app) supervise(p paths.Paths, call *supervisorCall) error {
	settings, err := settingsOf(filepath.Join(p.Config, native.DefaultName))
	if err != nil {
		return err
	}
	call.logBudget.over(&settings)
	o, err := a.serverOptions(p, settings)
	if err != nil {
		return err
	}
	o.Ready, o.Displaced = daemonry.Ready, foregroundState(p)
	if daemonry.IsDaemon() {
		shed(o.Trouble)
	}
	if o.Inherited, err = successor.Found(); err != nil {
		return err
	}
	if o.Inherited != nil {
		o.Ready = a.upgraded
	}
	return errors.Join(server.Serve(context.Background(), o), daemonry.Release())
}

// settingsOf reads [supervisor] of the file that a supervisor without other word looks at, if it is
// there.
func settingsOf(path string) (native.Supervisor, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return native.Supervisor{}, nil
	}
	file, err := native.Read(path, native.Options{})
	if err != nil {
		// Services may name variables of whoever calls "up", which we do not have. Any value will
		// do, for they are not looked at.
		other, otherErr := native.Read(path, native.Options{LookupEnv: func(name string) (string, bool) {
			if value, ok := os.LookupEnv(name); ok {
				return value, true
			}
			return "1", true
		}})
		if otherErr != nil {
			return native.Supervisor{}, err
		}
		file = other
	}
	return file.Supervisor, nil
}

// serverOptions are what settings mean to the server.
func (a *app) serverOptions(p paths.Paths, settings native.Supervisor) (server.Options, error) {
	o := server.Options{
		Paths: p, Version: thisBuild().Version, Metrics: settings.Metrics, Logs: logReader{p.Log},
		Trouble:   newOwnLog(a.err, p).trouble,
		LogBudget: int64(settings.LogBudget), Cgroup: settings.Cgroup,
		TCP: server.TCP{
			Listen: settings.Listen.Addr, TokenFile: settings.TokenFile,
			Cert: settings.TLSCert, Key: settings.TLSKey, ClientCA: settings.TLSClientCA,
		},
	}
	if settings.Group == "" {
		return o, nil
	}
	g, err := user.LookupGroup(settings.Group)
	if err != nil {
		return o, fmt.Errorf("supervisor: group: %w", err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return o, fmt.Errorf("supervisor: group %s: %w", settings.Group, err)
	}
	o.Group = &gid
	return o, nil
}

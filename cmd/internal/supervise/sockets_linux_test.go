package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/listen"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

func scenario(name string) func(scene) error {
	if name == "hung" {
		return hangAround
	}
	if f := scenarios[name]; f != nil {
		return f
	}
	for _, some := range []map[string]func(scene) error{socketScenarios, onDemandScenarios} {
		if f := some[name]; f != nil {
			return f
		}
	}
	if server, ok := strings.CutPrefix(name, "unmodified "); ok {
		return rollUnmodified(server)
	}
	return afterlifeScenarios[name]
}

// server answers HTTP on the socket that it is handed, says its pid, and ends in good order at
// SIGTERM. /crash ends it as a bug would.
var server = proctest.Register("server", func(args []string) int {
	if err := serve(args); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func serve(args []string) error {
	for _, arg := range args {
		switch b, _ := os.ReadFile(arg); string(b) { // what the next version does that comes up
		case "broken":
			return errors.New("this version does not work")
		case "hangs":
			time.Sleep(time.Hour)
		}
	}
	sockets, err := listen.Take()
	if err != nil {
		return err
	}
	l, err := sockets.Listen("web", listen.Address{})
	if err != nil {
		return err
	}
	defer sockets.Close()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/crash" {
			os.Exit(3)
		}
		fmt.Fprintf(w, "%d %s\n", os.Getpid(), strings.Join(args, " "))
	})}
	// Shutdown drops what is accepted and not read yet when it is called (conn.serve in net/http),
	// so it comes last.
	var mu sync.Mutex
	busy := map[net.Conn]bool{}
	quiet := make(chan struct{}, 1)
	s.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if busy[c] = true; state != http.StateNew && state != http.StateActive {
			delete(busy, c)
			select {
			case quiet <- struct{}{}:
			default:
			}
		}
	}
	go func() {
		<-term
		l.Close()
	}()
	if _, err := new(notify.Client).Ready(); err != nil {
		return err
	}
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	for {
		mu.Lock()
		left := len(busy)
		mu.Unlock()
		if left == 0 {
			return s.Shutdown(context.Background())
		}
		<-quiet
	}
}

// web is a service of that server.
func web(args ...string) spec.Service {
	return spec.Service{
		Name:    "web",
		Command: append(spec.Command{os.Getenv("SERVER")}, args...),
		Ready:   spec.Probe{Kind: spec.ProbeNotify},
		Sockets: []spec.Socket{
			{Listen: spec.Address{Network: spec.NetTCP, Addr: "127.0.0.1:" + os.Getenv("PORT")}},
		},
	}
}

func url(path string) string { return "http://127.0.0.1:" + os.Getenv("PORT") + path }

// get asks over a connection of its own, and returns the pid and the arguments of who answers.
func get(ctx context.Context, path string) (pid int, args string, err error) {
	r, err := http.NewRequestWithContext(ctx, "GET", url(path), nil)
	if err != nil {
		return 0, "", err
	}
	r.Close = true
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, "", err
	}
	first, args, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, err = strconv.Atoi(first)
	return pid, args, err
}

// load asks as fast as it can from several sides until it is stopped.
type load struct {
	answers atomic.Int64
	mu      sync.Mutex
	errs    []error
	pids    map[int]int
	stop    context.CancelFunc
	all     sync.WaitGroup
}

func startLoad(ctx context.Context) *load {
	return startLoadOf(ctx, func() (int, error) {
		pid, _, err := get(ctx, "/")
		return pid, err
	})
}

func startLoadOf(ctx context.Context, ask func() (pid int, err error)) *load {
	l := &load{pids: map[int]int{}}
	stop, cancel := context.WithCancel(ctx)
	l.stop = cancel
	for range 4 {
		l.all.Go(func() {
			for stop.Err() == nil {
				pid, err := ask()
				l.mu.Lock()
				if err != nil {
					l.errs = append(l.errs, err)
				}
				l.pids[pid]++
				l.mu.Unlock()
				l.answers.Add(1)
			}
		})
	}
	return l
}

// more waits for n more answers.
func (l *load) more(ctx context.Context, n int64) error {
	for until := l.answers.Load() + n; l.answers.Load() < until; time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			return errors.New("no more answers")
		}
	}
	return nil
}

func (l *load) end() error {
	l.stop()
	l.all.Wait()
	if len(l.errs) > 0 {
		return fmt.Errorf("%d of %d requests failed, the first: %w",
			len(l.errs), l.answers.Load(), l.errs[0])
	}
	return nil
}

func TestSockets(t *testing.T) {
	for _, name := range slices.Concat(slices.Collect(maps.Keys(socketScenarios)),
		slices.Collect(maps.Keys(onDemandScenarios))) {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("/tmp", "dmn")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			cmd := stage.Command(t, name, dir)
			cmd.Env = append(os.Environ(), "SERVER="+server.Path(t), "KEEPER="+keeper.Path(t),
				"PORT="+freePort(t), "GORACE="+proctest.RaceSettings())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// holds says which socket of the service the engine has open, and sees that its process has it too.
func (s scene) holds(name string) (socket string, err error) {
	var fd, pid int
	if err := s.ask(s, func() {
		if one := s.services.Named(name); one != nil && len(one.Spec().Sockets) > 0 {
			fd, pid = s.socket(name), one.PID()
		}
	}); err != nil {
		return "", err
	}
	if socket, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		return "", err
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return "", err
	}
	for _, one := range fds {
		if got, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, one.Name())); got == socket {
			return socket, nil
		}
	}
	return "", fmt.Errorf("process %d does not have %s", pid, socket)
}

// socket is the descriptor that is held as the first socket of a service. The owner calls it.
func (s scene) socket(name string) int {
	if _, fds := s.handover.Sockets(&s.services.Named(name).Service); len(fds) > 0 {
		return fds[0]
	}
	return -1
}

// open is how many of our descriptors are the socket of a service of web.
func (s scene) open() (n int) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, one := range fds {
		if fd, err := strconv.Atoi(one.Name()); err == nil && socket.Is(fd, web().Sockets[0]) {
			n++
		}
	}
	return n
}

// fdFlags are those of the open file description (proc_pid_fdinfo(5)).
func fdFlags(pid, fd int) (flags int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	if err == nil {
		var pos int64
		_, err = fmt.Sscanf(string(b), "pos: %d\nflags: %o", &pos, &flags)
	}
	return flags, err
}

// same says whether the socket of a service is still that one.
func (s scene) same(name, socket string) error {
	now, err := s.holds(name)
	return errors.Join(err, want("socket of "+name, now, socket))
}

// keeper leaves a file with the supervisor at its first start, and prints what it is handed.
var keeper = proctest.Register("keeper", func(args []string) int {
	if err := keep(args[0]); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func keep(out string) error {
	sockets, err := listen.Take()
	if err != nil {
		return err
	}
	var c notify.Client
	var text strings.Builder
	fmt.Fprintf(&text, "limit %s", os.Getenv("FDSTORE"))
	for _, one := range sockets.All() {
		f, err := one.File()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, " %s=%s", one.Name, b)
	}
	fmt.Fprintln(&text)
	if err := os.WriteFile(out, []byte(text.String()), 0o600); err != nil {
		return err
	}
	tape, err := sys.MemoryFile("tape")
	if err != nil {
		return err
	}
	if _, err := tape.WriteString("precious"); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if _, err := c.StoreFDs("tape", tape, tape); err != nil { // the same twice: kept once
		return err
	}
	if _, err := c.StoreFDs("pipe", r); err != nil {
		return err
	}
	// nobody is left to write to it: dropped
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		return err
	}
	if _, err := c.Ready(); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

var socketScenarios = map[string]func(scene) error{
	"restarts and crashes refuse nobody": func(s scene) error {
		if err := s.apply(web()); err != nil {
			return err
		}
		before, err := s.holds("web")
		l := startLoad(s)
		err = errors.Join(err, l.more(s, 50))
		for range 3 {
			err = errors.Join(err, s.Restart(s, "web"), l.more(s, 50))
		}
		// An edit of something else keeps the open socket.
		edited := web("edited")
		edited.Env = map[string]string{"X": "1"}
		err = errors.Join(err, s.apply(edited), l.more(s, 50))
		if err = errors.Join(err, l.end(), s.same("web", before)); err != nil {
			return err
		}
		// A crash loses the connections it has, and no other: who comes while nobody serves waits.
		old := s.one("web").PID
		if _, _, err := get(s, "/crash"); err == nil {
			return errors.New("the crash was answered")
		}
		pid, args, err := get(s, "/")
		if err != nil || pid == old || args != "edited" {
			return fmt.Errorf("after the crash: %d (before: %d), %q, %v", pid, old, args, err)
		}
		// It may answer before the engine has heard that it was started.
		return errors.Join(s.state("web", Ready), s.same("web", before))
	},
	"rolling: the last words are not those of an earlier process": func(s scene) error {
		one := sh("web", `if [ -e "$0" ]; then echo new; sleep 0.1; exit 3; fi; : >"$0"; printf "old\nold\nold\n"; exec sleep 99`,
			func(c *spec.Service) {
				c.Command = append(c.Command, s.path("again"))
				c.Overlap = true
			})
		one.Ready = spec.Probe{Kind: spec.ProbeLog, Target: "^old$"}
		failed, ok := errors.AsType[*waiters.Error](errors.Join(s.apply(one),
			s.RestartRolling(s, "web")))
		if !ok {
			return errors.New("it did not fail")
		}
		return want("last words", fmt.Sprint(failed.Exit.Words), "[new]")
	},
	"stopped, nobody waits": func(s scene) error {
		err := errors.Join(s.apply(web()), s.Stop(s, "web"))
		if conn, dialErr := net.Dial("tcp", "127.0.0.1:"+os.Getenv("PORT")); !errors.Is(dialErr,
			syscall.ECONNREFUSED) {
			if conn != nil {
				conn.Close()
			}
			return errors.Join(err, fmt.Errorf("a stopped service's port: %v", dialErr))
		}
		return errors.Join(err, want("open", s.open(), 0), s.Start(s, "web"), s.Remove(s, "web"))
	},
	"changed sockets are opened anew": func(s scene) error {
		if err := s.apply(web()); err != nil {
			return err
		}
		changed := web()
		changed.Sockets[0].Backlog = 7
		before, err := s.holds("web")
		if err = errors.Join(err, s.apply(changed)); err != nil {
			return err
		}
		if after, err := s.holds("web"); after == before || err != nil {
			return fmt.Errorf("the same socket: %v", err)
		}
		_, _, err = get(s, "/")
		return err
	},
	"blocking or not, as described": func(s scene) error {
		one := sh("web", "exec sleep 99")
		one.Sockets = web().Sockets
		found := func(what string, nonblocking bool) error {
			flags, err := fdFlags(s.one("web").PID, 3)
			return errors.Join(err,
				want(what+": non-blocking", flags&syscall.O_NONBLOCK != 0, nonblocking))
		}
		set := func(on bool) (err error) {
			return errors.Join(s.ask(s, func() { err = sys.SetNonblock(s.socket("web"), on) }), err)
		}
		err := errors.Join(s.apply(one), found("at first", false), set(true),
			s.RestartRolling(s, "web"), found("set by who serves", true),
			s.Restart(s, "web"), found("restarted", false))
		one.Sockets[0].Nonblocking = true
		return errors.Join(err, s.apply(one), found("wanted", true), set(false),
			s.RestartRolling(s, "web"), found("wanted again", true))
	},
	"rolling": func(s scene) error {
		if err := s.apply(web()); err != nil {
			return err
		}
		before, err := s.holds("web")
		l := startLoad(s)
		err = errors.Join(err, l.more(s, 50))
		pids := map[int]bool{s.one("web").PID: true}
		since := s.one("web").Since
		for range 3 {
			err = errors.Join(err, s.RestartRolling(s, "web"), l.more(s, 50))
			pids[s.one("web").PID] = true
		}
		err = errors.Join(err, l.end(), s.same("web", before), want("processes", len(pids), 4),
			want("ready since", s.one("web").Since, since), s.oneProcess("web"))
		for pid := range l.pids {
			if !pids[pid] {
				err = errors.Join(err, fmt.Errorf("process %d answered", pid))
			}
		}
		return errors.Join(err, s.Restart(s, "web"), s.Remove(s, "web"))
	},
	"rolling instances": func(s scene) error {
		three := web()
		three.Instances = 3
		if err := s.apply(three); err != nil {
			return err
		}
		before, err := s.holds("web@3")
		l := startLoad(s)
		err = errors.Join(err, l.more(s, 50), s.RestartRolling(s, "web"), l.more(s, 50), l.end())
		return errors.Join(err, s.same("web@1", before), s.same("web@3", before),
			want("answered", len(l.pids) >= 4, true), s.oneProcess("web@2"))
	},
	"rolling with a version that does not work": func(s scene) error {
		one := web(s.path("next"))
		one.Timeout = new(spec.Duration(3 * time.Second))
		if err := s.apply(one); err != nil {
			return err
		}
		old := s.one("web")
		l := startLoad(s)
		for _, c := range []struct{ next, want string }{
			{"broken", "exited with status 1 before it was ready"},
			{"hangs", "not ready within 3s"},
		} {
			os.WriteFile(s.path("next"), []byte(c.next), 0o600)
			err := s.RestartRolling(s, "web")
			want := fmt.Sprintf("%s (notify); the old one (process %d) goes on", c.want, old.PID)
			if c.next == "broken" {
				want = strings.Replace(want, " (notify)", "", 1)
			}
			var start *waiters.Error
			if !errors.As(err, &start) || !strings.Contains(err.Error(), want) {
				l.end()
				return fmt.Errorf("%q, want %q", err, want)
			}
		}
		err := errors.Join(l.more(s, 50), l.end())
		now := s.one("web")
		return errors.Join(err, want("pid", now.PID, old.PID), want("state", now.State, Ready),
			want("restarts", now.Restarts, 0), s.oneProcess("web"))
	},
	"rolling while the old one crashes": func(s scene) error {
		one := web(s.path("next"))
		if err := s.apply(one); err != nil {
			return err
		}
		os.WriteFile(s.path("next"), []byte("hangs"), 0o600)
		result := make(chan error, 1)
		go func() { result <- s.RestartRolling(s, "web") }()
		var successor int
		for successor == 0 && s.Err() == nil {
			s.ask(s, func() {
				if h := s.services.Named("web").rolling.replacement; h != nil {
					successor = h.PID()
				}
			})
		}
		get(s, "/crash")
		// hangs too: the file still says so
		err := s.until("web", func(st control.Status) bool { return st.State == Starting })
		return errors.Join(err, s.Stop(s, "web"), func() error {
			err := <-result
			if err == nil || !strings.Contains(err.Error(), "overtaken by a later stop") {
				return fmt.Errorf("rolling restart of what was stopped: %v", err)
			}
			return nil
		}(), want("open", s.open(), 0))
	},
	"shut down in the middle of rolling": func(s scene) error {
		err := s.apply(web(s.path("next")))
		os.WriteFile(s.path("next"), []byte("hangs"), 0o600)
		go s.RestartRolling(s, "web")
		// who runs this sees that nothing is left
		return errors.Join(err, s.besideThen(func() error { return nil }))
	},
	"stopped in the middle of rolling": func(s scene) error {
		err := s.apply(web(s.path("next")))
		os.WriteFile(s.path("next"), []byte("hangs"), 0o600)
		result := make(chan error, 1)
		go func() { result <- s.RestartRolling(s, "web") }()
		err = errors.Join(err, s.besideThen(func() error { return s.Stop(s, "web") }))
		if told := <-result; told == nil || strings.Contains(told.Error(), "goes on") {
			err = errors.Join(err, fmt.Errorf("told: %v", told))
		}
		return errors.Join(err, s.oneProcess("web"), want("state", s.one("web").State, Stopped))
	},
	"rolling is refused": func(s scene) error {
		none, down := sh("none", "exec sleep 99"), sh("down", "exec sleep 99")
		down.Autostart = new(false)
		twice := sh("twice", "exec sleep 99")
		twice.Overlap = true
		if err := s.apply(none, down, twice); err != nil {
			return err
		}
		for name, want := range map[string]string{
			"none": "none: cannot be restarted in a rolling way: the supervisor has no socket " +
				"of it that both processes could serve",
			"down":    "it is stopped",
			"nothing": "nothing: no such service",
		} {
			err := s.RestartRolling(s, name)
			if err == nil || !strings.Contains(err.Error(), want) {
				return fmt.Errorf("%q, want %q", err, want)
			}
		}
		before := s.one("twice").PID
		if err := s.RestartRolling(s, "none", "twice"); err == nil || s.one("twice").PID != before {
			return fmt.Errorf("one of two refused: %v", err)
		}
		if err := s.RestartRolling(s, "twice"); err != nil || s.one("twice").PID == before {
			return fmt.Errorf("overlap: %v", err)
		}
		return nil
	},
	"instances share": func(s scene) error {
		two := web()
		two.Instances = 2
		if err := s.apply(two); err != nil {
			return err
		}
		one, err := s.holds("web@1")
		if err = errors.Join(err, s.same("web@2", one)); err != nil {
			return err
		}
		l := startLoad(s)
		err = errors.Join(l.more(s, 50), s.Restart(s, "web"), l.more(s, 50), s.Stop(s, "web@1"),
			l.more(s, 50))
		return errors.Join(err, l.end(), s.same("web@2", one))
	},
	"instances, and their sockets are edited": func(s scene) error {
		three := web()
		three.Instances = 3
		if err := s.apply(three); err != nil {
			return err
		}
		before, err := s.holds("web@1")
		three.Sockets = []spec.Socket{three.Sockets[0]}
		three.Sockets[0].Backlog = 7
		if err = errors.Join(err, s.apply(three)); err != nil {
			return err
		}
		after, err := s.holds("web@1")
		return errors.Join(err, want("another", before != after, true), s.same("web@2", after),
			s.same("web@3", after), want("open", s.open(), 1),
			want("restarts of 1", s.one("web@1").Restarts, 0),
			want("of 2", s.one("web@2").Restarts, 0),
			want("of 3", s.one("web@3").Restarts, 0))
	},
	"on demand is switched off": func(s scene) error {
		one := web()
		one.OnDemand = true
		err := errors.Join(s.apply(one), s.state("web", Listening))
		one.OnDemand = false
		return errors.Join(err, s.apply(one), s.state("web", Ready))
	},
	"a port that is taken": func(s scene) error {
		taken, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
		if err != nil {
			return err
		}
		defer taken.Close()
		one := web()
		one.Restart = spec.RestartNo
		err = s.apply(one)
		if text := fmt.Sprint(err); !strings.Contains(text,
			"web: open socket tcp:127.0.0.1:"+os.Getenv("PORT")+": bind: address already in use") {
			return fmt.Errorf("%v", err)
		}
		return nil
	},
	"unix sockets come and go": func(s scene) error {
		one := web()
		one.Sockets = []spec.Socket{
			{Listen: spec.Address{Network: spec.NetUnix, Addr: s.path("web.sock")},
				Mode: new(spec.Mode(0o620))},
			{Name: "ctl", Listen: spec.Address{Network: spec.NetFIFO, Addr: s.path("ctl")}},
		}
		if err := s.apply(one); err != nil {
			return err
		}
		info, err := os.Stat(s.path("web.sock"))
		if err == nil {
			err = want("mode", info.Mode().Perm(), os.FileMode(0o620))
		}
		err = errors.Join(err, s.Remove(s, "web"))
		for _, name := range []string{"web.sock", "ctl"} {
			if _, statErr := os.Lstat(s.path(name)); !errors.Is(statErr, os.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("%s is left: %v", name, statErr))
			}
		}
		return err
	},
	"descriptors are kept and given back": func(s scene) error {
		k := spec.Service{
			Name:    "k",
			Command: spec.Command{os.Getenv("KEEPER"), s.path("out")},
			Ready:   spec.Probe{Kind: spec.ProbeNotify},
			FDStore: 2,
		}
		read := func() string {
			b, _ := os.ReadFile(s.path("out"))
			return string(b)
		}
		if err := errors.Join(s.apply(k), want("at first", read(), "limit 2\n"),
			s.stored("k", 1)); err != nil {
			return err
		}
		if err := errors.Join(s.Restart(s, "k"),
			want("given back", read(), "limit 2 tape=precious\n"), s.stored("k", 2)); err != nil {
			return err
		}
		s.Signal(s, syscall.SIGKILL, "k")
		if err := s.until("k",
			func(st control.Status) bool { return st.Restarts == 1 && st.Ready }); err != nil {
			return err
		}
		if err := want("after a crash", read(),
			"limit 2 tape=precious tape=precious\n"); err != nil {
			return err
		}
		if err := errors.Join(s.Stop(s, "k"), s.stored("k", 0), s.Start(s, "k")); err != nil {
			return err
		}
		return want("after a stop", read(), "limit 2\n")
	},
	"descriptors are kept over rolling restarts": func(s scene) error {
		k := spec.Service{Name: "k", Command: spec.Command{os.Getenv("KEEPER"), s.path("out")}}
		k.Ready, k.FDStore, k.Overlap = spec.Probe{Kind: spec.ProbeNotify}, 4, true
		err := errors.Join(s.apply(k), s.stored("k", 1))
		for i := range 2 { // what each process has stored is given to the next one
			err = errors.Join(err, s.RestartRolling(s, "k"), s.stored("k", 2+i))
			got, readErr := os.ReadFile(s.path("out"))
			err = errors.Join(err, readErr, s.oneProcess("k"),
				want("given", string(got), "limit 4"+strings.Repeat(" tape=precious", 1+i)+"\n"))
		}
		return errors.Join(err, s.Stop(s, "k"), s.stored("k", 0))
	},
	"descriptors beyond the limit are refused and closed": func(s scene) error {
		k := spec.Service{
			Name:    "k",
			Command: spec.Command{os.Getenv("KEEPER"), s.path("out")},
			Ready:   spec.Probe{Kind: spec.ProbeNotify},
		}
		if err := errors.Join(s.apply(k), s.stored("k", 0)); err != nil {
			return err
		}
		// They are closed away from who hears, which takes a moment.
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			err := noneOpen("tape")
			if err == nil || time.Now().After(end) {
				return err
			}
		}
	},
}

// noneOpen says whether no descriptor of ours is of a file whose name has text in it.
func noneOpen(text string) error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if name, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(name, text) {
			return fmt.Errorf("descriptor %s is open: %s", fd.Name(), name)
		}
	}
	return nil
}

// unreaped is how many processes we have started and not reaped.
func unreaped() int {
	list, _ := sys.Children()
	return len(list)
}

// oneProcess says whether only one process of a service is left.
func (s scene) oneProcess(name string) (err error) {
	if askErr := s.ask(s, func() {
		one := s.services.Named(name)
		if one.rolling.replacement != nil || len(one.rolling.replaced) > 0 ||
			unreaped() > s.services.Len() {
			err = fmt.Errorf("%s has relatives: %+v", name, one.rolling)
		}
	}); askErr != nil {
		return askErr
	}
	return err
}

// stored waits until so many descriptors are kept for a service.
func (s scene) stored(name string, n int) error {
	got := -1
	for s.Err() == nil {
		if err := s.ask(s, func() {
			list := s.heldForServices()
			got = len(slices.DeleteFunc(list,
				func(d handover.Descriptor) bool { return d.Service != name || d.Socket != "" }))
		}); err != nil {
			return err
		}
		if got == n {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%d descriptors of %s are kept, want %d", got, name, n)
}

package boottest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	gracefulAddr = "127.0.0.1:8082"
	enough       = probeOut + "/enough" // the file that ends the client
	replacements = 5
)

// TestUpgrade: examples/graceful, on package upgrade, as a service of systemd.
// It is replaced several times by "systemctl reload" while a client asks: no
// request fails, and systemd takes each successor for the main process. One that
// does not come up changes nothing. A crash of a successor has systemd restart
// it, with the socket that it keeps, so that nobody is refused; and when it is
// stopped, nothing is left.
func TestUpgrade(t *testing.T) {
	m := newMachine(t, systemdSystem)
	program := probeDir + "/graceful"
	good, err := os.ReadFile(filepath.Join(dir, "graceful"))
	if err != nil {
		t.Fatal(err)
	}
	m.install(program, good)
	client := m.addProbe(clientName)
	m.write(file, fmt.Sprintf(`[service.graceful]
command = [%q, "-addr", %q]
ready = "notify"
reload = "HUP"
fdstore = 4
timeout = %q
backoff.first = "2s"
stop_timeout = "1m"
`, program, gracefulAddr, patience), 0o644)
	m.boot()
	m.run("daemonry", "enable", "--native", "-f", file)
	asking := m.ask(client)

	pid := m.mainPID()
	for i := range replacements {
		m.install(program, good)
		pid = m.replaced(pid)
		t.Logf("replacement %d: process %d", i+1, pid)
	}

	m.install(program, []byte("#!/no/such/interpreter\n"))
	m.run("systemctl", "reload", "graceful.service")
	m.wait("systemd to know that an upgrade failed", func() bool {
		return strings.HasPrefix(m.show("StatusText"), "upgrade failed: ") &&
			m.show("ActiveState") == "active"
	})
	t.Log(m.show("StatusText"))
	if got := m.mainPID(); got != pid {
		t.Errorf("after an upgrade that failed the main process is %d, not %d", got, pid)
	}
	m.install(program, good)
	asking()

	m.run("sh", "-c", "kill -KILL "+strconv.Itoa(pid))
	m.wait("systemd to see the crash", func() bool { return m.mainPID() != pid })
	// waits in the queue of the socket until somebody is there
	if !strings.Contains(m.once(client), "process ") {
		t.Error("nobody answers after a crash")
	}
	m.wait("systemd to have restarted it", func() bool { return m.show("ActiveState") == "active" })
	if restarts := m.show("NRestarts"); restarts != "1" {
		t.Errorf("%s restarts", restarts)
	}
	m.replaced(m.mainPID())

	m.run("systemctl", "stop", "graceful.service")
	if state, pid := m.show("ActiveState"), m.mainPID(); state != "inactive" || pid != 0 {
		t.Errorf("after stop: %s, main process %d", state, pid)
	}
	m.run("daemonry", "disable", "-f", file)
	m.gone("graceful")
}

// install puts a new file of the program in the place of the old one.
func (m *machine) install(program string, content []byte) {
	m.t.Helper()
	m.write(program+".new", string(content), 0o755)
	root := openRoot(m.t, m.root)
	defer root.Close()
	if err := root.Rename(program[1:]+".new", program[1:]); err != nil {
		m.t.Fatal(err)
	}
}

// replaced reloads the service and returns its new main process, when that
// serves and the old one has ended.
func (m *machine) replaced(old int) (pid int) {
	m.t.Helper()
	m.run("systemctl", "reload", "graceful.service")
	m.wait("systemd to take the successor for the main process", func() bool {
		pid = m.mainPID()
		return pid != old && m.show("ActiveState") == "active"
	})
	m.wait("the old process to end", func() bool {
		_, err := os.Stat(m.inside("/proc/" + strconv.Itoa(old)))
		return err != nil
	})
	if got := m.mainPID(); got != pid || pid == 0 {
		m.t.Fatalf("main process %d, then %d", pid, got)
	}
	if got, want := m.once(probeDir+"/"+clientName), fmt.Sprintf("process %d\n",
		pid); !strings.HasSuffix(got, want) {
		m.t.Errorf("the answer is %q, want %q", got, want)
	}
	return pid
}

func (m *machine) show(property string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("systemctl", "show", "--property="+property, "--value",
		"graceful.service"))
}

func (m *machine) mainPID() int {
	m.t.Helper()
	pid, err := strconv.Atoi(m.show("MainPID"))
	if err != nil {
		m.t.Fatal(err)
	}
	return pid
}

// once is one answer.
func (m *machine) once(client string) string {
	m.t.Helper()
	return m.run(client, "once")
}

// ask starts the client; what it returns has it end, and fails if a request
// has failed.
func (m *machine) ask(client string) func() {
	m.t.Helper()
	var out bytes.Buffer
	cmd := m.command(m.t.Context(), client)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return func() {
		m.t.Helper()
		m.write(enough, "", 0o644)
		if err := <-ended; err != nil {
			m.t.Errorf("the client: %v: %s", err, out.String())
		}
		m.t.Logf("the client: %s", out.String())
	}
}

// clientName is the name under which this test binary is the client.
const clientName = "asks-graceful"

// client asks, over a connection for each request and over one that is kept,
// until it is enough, and prints how often it was answered; or only once.
func client(words []string) int {
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(c *http.Client) string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		answer, err := request(ctx, c)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return answer
	}
	if len(words) > 0 {
		fmt.Print(get(fresh))
		return 0
	}
	kept := &http.Client{Transport: &http.Transport{}}
	processes := map[string]bool{}
	for n := 2; ; n += 2 {
		processes[get(fresh)], processes[get(kept)] = true, true
		if _, err := os.Stat(enough); err == nil {
			fmt.Printf("%d requests answered by %d processes", n, len(processes))
			return 0
		}
		time.Sleep(time.Millisecond) // others need the processor too
	}
}

func request(ctx context.Context, c *http.Client) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+gracefulAddr, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

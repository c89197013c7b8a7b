package boot

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// runitInit is runit: runsvdir(8) looks at its directory every five seconds.
type runitInit struct{ m *Machine }

// runitScans are the directories that runsvdir looks at: that of Debian, of
// Void, of the author, and of a Void that does not run, whose /var/service leads
// into /run.
var runitScans = []string{"/etc/service", "/var/service", "/service", "/etc/runit/runsvdir/default"}

func (r runitInit) scans() ([]string, error) {
	if r.m.scan != "" {
		return []string{r.m.scan}, nil
	}
	for _, dir := range runitScans {
		if path := r.m.path(dir); tree(path).isDir("/") {
			return []string{path}, nil
		}
	}
	return nil, fmt.Errorf("runit: none of %s is there", strings.Join(runitScans, ", "))
}

func (r runitInit) alive() string          { return "supervise/ok" }
func (r runitInit) rescan(string) []string { return nil }

func (r runitInit) start(dir string, _ bool) []string {
	return []string{"sv", "-w", "30", "start", dir}
}
func (r runitInit) restart(dir string) []string { return []string{"sv", "restart", dir} }
func (r runitInit) stop(dir string) []string    { return []string{"sv", "-w", "60", "stop", dir} }

// shutdown waits as long as the service may take to end; sv itself ends when
// runsv does.
func (r runitInit) shutdown(dir string) []string {
	return []string{"sv", "-w", strconv.Itoa(int(stopTime.Seconds())), "shutdown", dir}
}

// state reads what runsv(8) writes: the state in a word, and the pid.
func (r runitInit) state(_ context.Context, dir string) (scanState, error) {
	st := scanState{word: strings.TrimSpace(tree(dir).text("supervise/stat"))}
	if st.up = strings.HasPrefix(st.word, "run"); st.up {
		// empty if it has just ended
		st.pid, _ = strconv.Atoi(strings.TrimSpace(tree(dir).text("supervise/pid")))
	}
	return st, nil
}

func (r runitInit) control(ctx context.Context, verb string, dirs []string) error {
	_, err := r.m.run(ctx, append([]string{"sv", "-w", "60", verb}, dirs...)...)
	return err
}

package boottest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/notify"
)

// In the trees this test binary is the service: each service has a copy of it
// under its own name in probeDir, which writes down in probeOut how it was born.
const (
	probeDir = "/usr/local/lib/probe"
	probeOut = "/var/lib/probe"
)

// birth is how a process came to the world. Texts are bytes, for JSON cannot
// hold every text.
type birth struct {
	PID, UID  int
	Dir       string
	Args, Env [][]byte
}

func probeFile(name string) string { return filepath.Join(probeOut, url.PathEscape(name)+".json") }

// probe is the program of all services. It says READY=1 when nobody holds it
// back by a file, and runs until it is told to end.
func probe(self string) int {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP) // there is nothing to reload
	name := filepath.Base(self)
	b := birth{PID: os.Getpid(), UID: os.Getuid()}
	b.Dir, _ = os.Getwd()
	for _, arg := range os.Args {
		b.Args = append(b.Args, []byte(arg))
	}
	for _, variable := range os.Environ() {
		b.Env = append(b.Env, []byte(variable))
	}
	for _, err := os.Stat(probeFile(name) +
		".hold"); err == nil; _, err = os.Stat(probeFile(name) + ".hold") {
		select {
		case <-ends:
			return 0
		case <-time.After(10 * time.Millisecond):
		}
	}
	data, err := json.Marshal(b)
	if err == nil {
		err = os.WriteFile(probeFile(name)+".new", data, 0o666)
	}
	if err == nil {
		err = os.Rename(probeFile(name)+".new", probeFile(name))
	}
	if err == nil {
		_, err = notify.Take().Ready()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-ends
	return 0
}

// addProbe puts the program of a service into the tree and returns its path
// there.
func (m *machine) addProbe(name string) string {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(probeDir, name)
	root := openRoot(m.t, m.root)
	defer root.Close()
	copyFile(m.t, self, root, path)
	return path
}

// isBorn tells whether a service has been born since born was called last.
func (m *machine) isBorn(name string) bool {
	_, err := os.Stat(filepath.Join(m.root, probeFile(name)))
	return err == nil
}

// born waits until a service has been born since the last call, and returns
// how.
func (m *machine) born(name string) birth {
	m.t.Helper()
	m.wait("the program "+name+" to start", func() bool { return m.isBorn(name) })
	file := filepath.Join(m.root, probeFile(name))
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.Remove(file)
	}
	var b birth
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

package boottest

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestLibrary: examples/service, a web server on package boot, installs itself,
// comes back after a reboot, and is gone after it was uninstalled.
func TestLibrary(t *testing.T) {
	for _, system := range systems {
		t.Run(system.name, func(t *testing.T) {
			m := newMachine(t, system)
			const program = "/usr/local/bin/hello-web"
			root := openRoot(t, m.root)
			defer root.Close()
			copyFile(t, filepath.Join(dir, "service"), root, program)
			m.boot()
			verb := func(word string, want int) {
				t.Helper()
				if out, status := m.try(program, word); status != want {
					t.Fatalf("boot %d: %s: status %d, want %d: %s",
						m.boots, word, status, want, out)
				}
			}
			verb("status", 3)
			verb("install", 0)
			verb("status", 0)
			m.hello()
			m.reboot()
			m.wait("the service to be up after a reboot", func() bool {
				_, status := m.try(program, "status")
				return status == 0
			})
			m.wait("its answer", func() bool { return m.answers() })
			verb("stop", 0)
			verb("status", 3)
			verb("start", 0)
			m.hello()
			verb("uninstall", 0)
			verb("uninstall", 0)
			verb("status", 3)
			if left := m.left("hello-web"); left != "" {
				t.Errorf("uninstall leaves:\n%s", left)
			}
			m.reboot()
			verb("status", 3)
			if m.answers() {
				t.Error("it serves after it was uninstalled")
			}
		})
	}
}

// answers asks the web server, from inside: the machine has a network of its
// own.
func (m *machine) answers() bool {
	m.t.Helper()
	out, _ := m.try("bash", "-c",
		`exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3`)
	return strings.Contains(out, "hello from process")
}

func (m *machine) hello() {
	m.t.Helper()
	if m.system.tells { // whoever waits for READY=1 has returned after it
		if !m.answers() {
			m.t.Fatalf("boot %d: the service is up and does not answer", m.boots)
		}
		return
	}
	m.wait("an answer", m.answers)
}

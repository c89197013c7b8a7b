//go:build linux

package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	logquery "github.com/daemonry/daemonry/cmd/internal/logs/query"
)

// The examples of docs/api.md, in their order, do what the page says.
func TestExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	page, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```sh\n(.*?)\n```").FindAllStringSubmatch(string(page), -1)
	if len(examples) != len(routes()) {
		t.Errorf("%d examples for %d routes", len(examples), len(routes()))
	}
	// In a process of its own: an engine reaps every child of its process, also this test's.
	root := shortDir(t)
	supervisor, c := startWhole(t, root)
	for i, e := range examples {
		script, follows := e[1], strings.Contains(e[1], "follow=1")
		if strings.Contains(script, "/logs") {
			file := logquery.Named("web", rootPaths(t, root).Log).Path
			if err := os.WriteFile(file, []byte("what it printed\n"), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		if follows { // without end: what comes first will do
			first := filepath.Join(t.TempDir(), strconv.Itoa(i))
			script = fmt.Sprintf(
				"(exec %s) >%[2]s & until test -s %[2]s; do sleep 0.01; done; kill $!; wait; cat "+
					"%[2]s",
				script, first,
			)
		}
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = append(os.Environ(), "SOCKET="+c.Socket)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", e[1], err, out)
		}
		text := string(out)
		if strings.Contains(text, `"error"`) &&
			!strings.Contains(text, "execute /usr/local/bin/daemonry: no such file") || text == "" {
			t.Errorf("%s\n%s", e[1], text)
		}
	}
	if err := supervisor.Wait(); err != nil { // the last example ends it
		t.Error(err)
	}
}

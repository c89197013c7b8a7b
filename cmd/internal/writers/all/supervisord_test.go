package all

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/supervisord"
	"github.com/daemonry/daemonry/spec"
)

// realize has supervisord's own code read a configuration, and prints the name
// of each program that it takes from it.
const realize = `
import sys
from supervisor.options import ServerOptions
o = ServerOptions()
o.realize(args=["-c", sys.argv[1]])
for group in o.process_group_configs:
    for p in group.process_configs:
        print(p.name)
`

// TestSupervisordReads: the real supervisord takes whatever a service says.
func TestSupervisordReads(t *testing.T) {
	if _, err := exec.LookPath("supervisord"); err != nil {
		t.Skip("there is no supervisord")
	}
	config := "[supervisord]\nnodaemon=true\n"
	var want []string
	for i, s := range allSamples(t) {
		s.spec.Name = fmt.Sprintf("s%d", i)
		out, err := supervisord.Target().Render([]spec.Service{s.spec}, writers.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Files {
			config += string(f.Content)
			want = append(want, strings.TrimSuffix(f.Path, ".conf"))
		}
	}
	path := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// The interpreter of the distribution, whose package it is.
	out, err := exec.Command("/usr/bin/python3", "-c", realize, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		got[lines.Text()] = true
	}
	for _, name := range want {
		if !got[name] {
			t.Errorf("%s is not among what supervisord read", name)
		}
	}
}

package proctest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The environment of a test that runs again as another user: its name, and the
// file where it leaves the names of the programs it used.
const (
	runAsEnv = "PROCTEST_RUN_AS"
	usedEnv  = "PROCTEST_USED"
)

// runningAs is the name of the one test that this process runs as an ordinary
// user on behalf of root, and usedFile the file for the programs it used.
var runningAs, usedFile string

// claimRunAs takes the marks out of the environment before any test sees it.
func claimRunAs() {
	runningAs, usedFile = os.Getenv(runAsEnv), os.Getenv(usedEnv)
	os.Unsetenv(runAsEnv)
	os.Unsetenv(usedEnv)
}

func reportUsed() error {
	if usedFile == "" {
		return nil
	}
	return os.WriteFile(usedFile, []byte(strings.Join(usedNames(), "\n")), 0o644)
}

// RunAs runs body as an ordinary user. In a process of an ordinary user it
// calls body, whoever that user is. In one of root it runs the calling test
// again in a new process of the named user, where this same call gets to body,
// and fails or skips with it; what stands before the call runs in both.
func RunAs(t *testing.T, user string, body func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 || runningAs == t.Name() {
		body(t)
		return
	}
	home, err := userDir(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	cmd, err := commandAs(user, home, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	switch {
	case err != nil:
		t.Errorf("as %s: %v\n%s", user, err, text)
	case strings.Contains(text, "--- SKIP: "+t.Name()+" "):
		t.Skipf("as %s: %s", user, text)
	case !strings.Contains(text, "--- PASS: "+t.Name()+" "):
		t.Errorf("as %s: the test did not run:\n%s", user, text)
	}
	if err := markUsed(filepath.Join(home, "used")); err != nil && !t.Failed() {
		t.Error(err)
	}
}

// markUsed counts the programs that the other process used as used here.
func markUsed(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(data)) {
		p := programs[name]
		if p == nil {
			return fmt.Errorf("%s names the program %q, which is not registered", file, name)
		}
		p.used.Store(true)
	}
	return nil
}

// exactly returns the -test.run pattern that matches one test or subtest alone.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// userDir makes a directory for the files of another user, whose name is in it.
func userDir(user string) (string, error) {
	exe, err := binary("test")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(filepath.Dir(exe), user)
	if err != nil {
		return "", err
	}
	if err := giveTo(user, dir); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

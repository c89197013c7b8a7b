package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/cmd/internal/readers/systemd"
)

// FuzzImport: whatever a unit says, what is made of it is the same service when it is read back, or
// an error.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"web.service", "db.service", "task@.service"} {
		text, err := os.ReadFile("../readers/systemd/testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text),
			"[Socket]\nListenStream=80\nListenStream=/run/x\n[Install]\nWantedBy=sockets.target\n")
	}
	f.Add("[Service]\nExecStart=/bin/x \"a\\xffb\"\n", "[Socket]\nListenFIFO=/x\nSocketMode=7777\n")
	f.Fuzz(func(t *testing.T, service, socket string) {
		dir := t.TempDir()
		paths := []string{filepath.Join(dir, "x.service"), filepath.Join(dir, "x.socket")}
		for i, text := range []string{service, socket} {
			if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		services, _, err := systemd.Read(paths...)
		if err != nil {
			return
		}
		text, err := native.Format(services)
		if err != nil {
			return // a text that TOML cannot hold
		}
		file, err := native.Parse("/x/daemonry.toml", text, native.Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for i := range services {
			// JSON does not tell nil from empty where the difference means nothing.
			want, err := json.Marshal(services[i].Resolve("/x"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(file.Services[i])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s\nbecame\n%s\n%s", want, got, text)
			}
		}
	})
}

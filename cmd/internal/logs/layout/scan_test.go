package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestListWhileFilesAreCompressed: none is missed while names change in a directory that takes many
// steps to read.
func TestListWhileFilesAreCompressed(t *testing.T) {
	dir := t.TempDir()
	const services, each = 40, 50
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var plain []string
	for i := range services {
		for j := range each {
			name := filepath.Join(dir, fmt.Sprintf("a-service-with-a-long-name-%d.log.%s",
				i, began.Add(time.Duration(j)*time.Second).Format(stampForm)))
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			plain = append(plain, name)
		}
	}
	if _, _, ok := Parse(plain[0]); !ok {
		t.Fatalf("%s is no rotated file", plain[0])
	}
	done := make(chan error)
	go func() {
		var failed error
		for _, name := range plain {
			if err := os.Rename(name, name+".zst"); err != nil {
				failed = err
			}
		}
		done <- failed
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if running = false; err != nil {
				t.Error(err)
			}
		default:
		}
		all, err := Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for base, list := range all {
			if len(list) != each {
				t.Fatalf("%s: %d of %d files", strings.TrimPrefix(base, dir), len(list), each)
			}
		}
		if len(all) != services {
			t.Fatalf("%d of %d logs", len(all), services)
		}
	}
}

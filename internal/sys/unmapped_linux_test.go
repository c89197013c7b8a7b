package sys

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUnmapped(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	overflow := file("overflow", "65534\n")
	for text, want := range map[string]bool{
		"         0          0 4294967295\n":                  false, // no namespace
		"         0       1000          1\n":                  true,
		"         0       1000          1\n 1 100000 65536\n": false, // 65534 is somebody inside
		"         0     100000      65534\n":                  true,
		"":                                                    false,
		"rubbish":                                             false,
	} {
		ranges := file("map", text)
		if got := unmapped(65534, ranges, overflow); got != want {
			t.Errorf("%q: %v", text, got)
		}
		if unmapped(1000, ranges, overflow) || unmapped(65534, ranges, filepath.Join(dir, "none")) {
			t.Errorf("%q: somebody else is unmapped", text)
		}
	}
}

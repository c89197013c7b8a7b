package spawn

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestCheckProgram: what is wrong with a file is found before it is executed, and what is right is
// let through.
func TestCheckProgram(t *testing.T) {
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, to ...byte) []byte {
		b := slices.Clone(exe)
		copy(b[at:], to)
		return b
	}
	machine := binary.NativeEndian.AppendUint16(nil, 0xabc)
	object := binary.NativeEndian.AppendUint16(nil, 1) // ET_REL
	dir := t.TempDir()
	file := filepath.Join(dir, "program")
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		want    string // "" for no error
	}{
		"sound":      {exe, 0o755, ""},
		"script":     {[]byte("#!/bin/sh\n"), 0o755, ""},
		"script env": {[]byte("#!sh\n"), 0o755, ""}, // relative to who knows what
		"no magic":   {[]byte("echo\n"), 0o755, ""}, // a matter of binfmt_misc
		"of others":  {exe, 0o711, ""},
		"no interpreter": {[]byte("#!/no/where x\n"), 0o755,
			`"/no/where": no such file`},
		"empty":          {nil, 0o755, "the file is empty: exec format error"},
		"not executable": {exe, 0o644, "nobody may execute it: permission denied"},
		"machine":        {changed(18, machine...), 0o755, "it is for ELF machine 2748 ("},
		"word":           {changed(4, exe[4]^3), 0o755, " bits, "},
		"order":          {changed(5, exe[5]^3), 0o755, "-endian), and this program is for "},
		"object":         {changed(16, object...), 0o755, "(type 1)"},
		"cut":            {exe[:len(exe)/4], 0o755, "the file is not whole: it has "},
		"head alone":     {exe[:18], 0o755, "the file is not whole: it has 18 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(file)
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			err := CheckProgram(t.Context(), file)
			if c.want == "" && err != nil || c.want != "" && (err == nil ||
				!strings.Contains(err.Error(), c.want) ||
				!strings.HasPrefix(err.Error(), "execute "+file+": ")) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o777); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "a directory, and no program", fifo: "no regular file: permission denied",
		filepath.Join(dir, "none"): "no such file or directory",
	} {
		if err := CheckProgram(t.Context(), path); err == nil ||
			err.Error()[:len("execute "+path+": ")] != "execute "+path+": " ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func BenchmarkCheckProgram(b *testing.B) {
	for b.Loop() {
		if err := CheckProgram(context.Background(), "/proc/self/exe"); err != nil {
			b.Fatal(err)
		}
	}
}

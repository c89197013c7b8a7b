package sys

import (
	"errors"
	"os"
	"testing"
)

func TestWatch(t *testing.T) {
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	r, p, err := NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFD(r)
	const key = 1<<40 | 7
	if err := w.Add(r, WaitInput, key); err != nil {
		t.Fatal(err)
	}
	keys := make([]uint64, 4)
	if _, err := WriteFD(p, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Next(keys); n != 1 || keys[0] != key || err != nil {
		t.Fatalf("%d %x %v", n, keys, err)
	}
	// It is told once: what is next is told of another.
	r2, p2, err := NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFD(r2)
	if err := w.Add(r2, WaitDead, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteFD(p2, []byte("x")); err != nil { // input is not what it waits for
		t.Fatal(err)
	}
	if err := CloseFD(p2); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Next(keys); n != 1 || keys[0] != 2 || err != nil {
		t.Errorf("%d %x %v", n, keys, err)
	}
	if err := errors.Join(w.Remove(r), w.Remove(r2)); err != nil {
		t.Error(err)
	}
	if err := w.Add(r, WaitInput, 3); err != nil { // what is so already is told
		t.Fatal(err)
	}
	if n, err := w.Next(keys); n != 1 || keys[0] != 3 || err != nil {
		t.Errorf("%d %x %v", n, keys, err)
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := w.Add(int(file.Fd()), WaitDead, 4); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a regular file: %v", err)
	}
	ended := make(chan error)
	go func() {
		_, err := w.Next(keys)
		ended <- err
	}()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := CloseFD(p); err != nil {
		t.Error(err)
	}
}

func TestReadable(t *testing.T) {
	r, p, err := NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	if is, err := Readable(r); is || err != nil {
		t.Errorf("empty: %v %v", is, err)
	}
	if _, err := WriteFD(p, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if is, err := Readable(p, r); !is || err != nil {
		t.Errorf("%v %v", is, err)
	}
	if err := errors.Join(CloseFD(r), CloseFD(p)); err != nil {
		t.Fatal(err)
	}
	if _, err := Readable(r); err == nil {
		t.Error("a closed descriptor was looked at")
	}
}

// TestTakeFD takes a descriptor of our own process, which needs no right.
func TestTakeFD(t *testing.T) {
	p, err := HoldProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, w, err := NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.TakeFD(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fd   int
		want bool
	}{{r, true}, {w, false}} {
		if same, err := SameDescription(got, c.fd); same != c.want || err != nil {
			t.Errorf("%v, %v, want %v", same, err, c.want)
		}
	}
	if err := errors.Join(CloseFD(r), CloseFD(w), CloseFD(got)); err != nil {
		t.Error(err)
	}
	if _, err := p.TakeFD(r); err == nil {
		t.Error("a closed descriptor was taken")
	}
}

package stage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/internal/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// died is what the crash hook throws: the process is dead from there on, and what it
// mapped is all that is left of it.
type died struct{ step string }

// carrier is a minimal engine: FIFO to file, by way of a slot. It is killed at a chosen step and
// started anew.
type carrier struct {
	t       *rapid.T
	dir     string
	r, w    int // the pipe
	scratch *Scratch
	file    *os.File
	slot    *Slot
	// slots made
	n int
	// steps until death
	killAt int
	// bytes of the next write that get into the file when death comes during it; -1: death between
	// steps only
	partial  int
	notee    bool
	failOnce bool // the next write fails half-way, as on a full disk
}

func (c *carrier) check(err error) {
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *carrier) step(name string) {
	if c.killAt--; c.killAt == 0 {
		panic(died{name})
	}
}

// start is what a new process does first: finish what is in the slots.
func (c *carrier) start() {
	entries, err := os.ReadDir(c.dir)
	c.check(err)
	var left []*Slot
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "slot") {
			continue
		}
		path := filepath.Join(c.dir, e.Name())
		s, err := Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			c.check(os.Remove(path))
			continue
		}
		c.check(err)
		if s.Phase() == Idle {
			c.check(s.Remove())
			continue
		}
		left = append(left, s)
	}
	if len(left) == 2 {
		if !left[0].SameInput(left[1]) {
			c.t.Fatal("two slots that are not twins")
		}
		if !left[0].Formatted() {
			left[0], left[1] = left[1], left[0]
		}
		c.check(left[1].Remove())
		left = left[:1]
	}
	for _, s := range left {
		s.crash = c.step
		if id, input := s.Owner(); id != "svc" || input != 1 {
			c.t.Fatalf("owner %q %d", id, input)
		}
		c.settleAll(s)
		c.check(s.Remove())
	}
	c.n++
	c.slot, err = Create(filepath.Join(c.dir, fmt.Sprint("slot", c.n)))
	c.check(err)
	c.slot.crash = c.step
}

var errFull = errors.New("full")

// write is write(2) to the log: it may be killed in the middle.
func (c *carrier) write(p []byte) error {
	if c.killAt == 1 && c.partial >= 0 {
		n, err := c.file.Write(p[:min(c.partial, len(p))])
		_ = n
		c.check(err)
		c.step("in write")
	}
	if c.failOnce {
		c.failOnce = false
		_, err := c.file.Write(p[:len(p)/2])
		c.check(err)
		return errFull
	}
	_, err := c.file.Write(p)
	c.check(err)
	return nil
}

func (c *carrier) state() sys.FileState {
	st, err := sys.StatFD(int(c.file.Fd()))
	c.check(err)
	return st
}

func (c *carrier) settle(s *Slot) error {
	for s.Phase() >= Have {
		if s.Phase() == Writing {
			if err := c.write(s.Missing(c.state().Size)); err != nil {
				return err
			}
			s.Done()
			continue
		}
		rest := s.Rest()
		take := len(rest)/2 + 1 // two or more pieces, as a rotation makes them
		if s.Formatted() || take%2 == 0 {
			s.Begin(take, Same, c.state())
		} else {
			s.Begin(take, copy(s.Out(), rest[:take]), c.state())
		}
	}
	return nil
}

// settleAll tries until the disk has room.
func (c *carrier) settleAll(s *Slot) {
	for c.settle(s) != nil {
	}
}

// carry empties the pipe.
func (c *carrier) carry() {
	for {
		fill, err := sys.PipeFill(c.r)
		c.check(err)
		if fill == 0 {
			return
		}
		if !c.notee {
			p, err := c.slot.Peek(c.r, c.scratch, 1)
			c.check(err)
			if len(p) != 1 {
				c.t.Fatalf("peeked %d bytes", len(p))
			}
		}
		n := min(fill, InSize)
		got, err := c.slot.Fetch("svc", 1, 42, c.r, n)
		c.check(err)
		if got != n {
			c.t.Fatalf("fetched %d of %d", got, n)
		}
		if err := c.settle(c.slot); err != nil {
			rest := c.slot.Rest()
			if c.slot.Phase() == Writing {
				rest = rest[c.slot.Announced():]
			}
			c.n++
			stuck, err := c.slot.Split(filepath.Join(c.dir, fmt.Sprint("slot", c.n)), rest)
			c.check(err)
			stuck.crash = c.step
			c.settleAll(stuck)
			c.check(stuck.Remove())
		}
	}
}

// live runs the process until it is killed or has nothing left to do.
func (c *carrier) live() (dead bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(died); !ok {
				panic(r)
			}
			dead = true
		}
	}()
	c.start()
	c.carry()
	return false
}

// TestDeathAtEveryStep sends output through the slot and kills the carrying process at a random
// step, also in the middle of a write and while it starts again, over and over. Everything must be
// in the file once.
func TestDeathAtEveryStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "stage")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := &carrier{t: t, dir: dir}
		c.r, c.w, err = sys.NewPipe()
		c.check(err)
		defer sys.CloseFD(c.r)
		defer sys.CloseFD(c.w)
		c.scratch, err = NewScratch()
		c.check(err)
		defer c.scratch.Close()
		c.file, err = os.OpenFile(filepath.Join(dir, "log"),
			os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		c.check(err)
		defer c.file.Close()
		c.notee = rapid.Bool().Draw(t, "no tee")

		var want []byte
		for i := range rapid.IntRange(1, 6).Draw(t, "rounds") {
			// Repeating content, so that a comparison of contents would not know a repetition from
			// a doubling.
			p := bytes.Repeat([]byte("a\n"), rapid.IntRange(9, 3000).Draw(t, "length"))
			if rapid.Bool().Draw(t, "numbered") {
				p = append(p, fmt.Sprintln("round", i)...)
			}
			if n, err := sys.WriteFD(c.w, p); err != nil || n != len(p) {
				t.Fatal(n, err)
			}
			want = append(want, p...)
			c.killAt = rapid.IntRange(1, 25).Draw(t, "kill at step")
			c.partial = rapid.IntRange(-1, 100).Draw(t, "bytes before death")
			c.failOnce = rapid.Bool().Draw(t, "disk full")
			for c.live() {
				c.killAt = rapid.IntRange(1, 25).Draw(t, "kill again at step")
			}
			got, err := os.ReadFile(filepath.Join(dir, "log"))
			c.check(err)
			if !bytes.Equal(got, want) {
				t.Fatalf("round %d: %d bytes in the file, want %d", i, len(got), len(want))
			}
		}
	})
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "slot")
	fresh := func() []byte {
		s, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(s.mem)
		if err := s.Remove(); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"another layout": func(b []byte) []byte { b[7] = '2'; return b },
		"cut":            func(b []byte) []byte { return b[:len(b)-4096] },
		"phase":          func(b []byte) []byte { b[8] = 9; return b },
		"head only":      func(b []byte) []byte { return b[:100] },
	} {
		if err := os.WriteFile(path, spoil(fresh()), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Load says %v", name, err)
		}
		os.Remove(path)
	}
	for name, content := range map[string][]byte{"empty": nil, "no magic yet": make([]byte, 8192)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Load says %v", name, err)
		}
		os.Remove(path)
	}
}

// FuzzLoad: no stage file, however damaged, may crash who loads it.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(magic), uint16(0))
	f.Fuzz(func(t *testing.T, head []byte, size uint16) {
		path := filepath.Join(t.TempDir(), "slot")
		b := make([]byte, headSize+int(size))
		copy(b, magic)
		copy(b[len(magic):headSize], head)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(path)
		if err != nil {
			return
		}
		s.Owner()
		s.Rest()
		if s.Phase() == Writing {
			s.Piece()
			s.Missing(0)
			s.Missing(1 << 40)
			s.Done()
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

package spawn

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// draw makes values, the odd ones among them more often than by chance.
type draw struct{ *rand.Rand }

func (d draw) yes() bool { return d.IntN(2) == 0 }

func (d draw) bytes() []byte {
	b := make([]byte, d.IntN(1+d.IntN(300))) // lengths of one byte and of two
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return b
}

func (d draw) text() string { return string(d.bytes()) }

func (d draw) texts() []string {
	list := make([]string, d.IntN(5))
	for i := range list {
		list[i] = d.text()
	}
	return list
}

func (d draw) number() uint64 {
	odd := []uint64{0, 1, math.MaxInt32, math.MaxUint32, math.MaxInt64, math.MaxUint64}
	if i := d.IntN(2 * len(odd)); i < len(odd) {
		return odd[i]
	}
	return d.Uint64() >> d.IntN(64)
}

func (d draw) perhaps() *int {
	if d.yes() {
		return nil
	}
	n := int(d.number())
	return &n
}

// description draws one, without open descriptors.
func (d draw) description() *description {
	s := description{crash: -1}
	s.Path, s.Chroot, s.Dir, s.Cgroup = d.text(), d.text(), d.text(), d.text()
	s.Args, s.Env, s.ListenNames = d.texts(), d.texts(), d.texts()
	s.OOMScoreAdj, s.Nice, s.Umask = d.perhaps(), d.perhaps(), d.perhaps()
	for range d.IntN(4) {
		limit := sys.Rlimit{Soft: d.number(), Hard: d.number()}
		s.Rlimits = append(s.Rlimits, Rlimit{d.text(), d.IntN(101), limit})
	}
	if d.yes() {
		s.Credential = &sys.Credential{UID: uint32(d.number()), GID: uint32(d.number())}
		for range d.IntN(10) {
			s.Credential.Groups = append(s.Credential.Groups, uint32(d.number()))
		}
	}
	if d.yes() {
		s.Caps = new(sys.CapSet(d.number()))
	}
	s.NoNewPrivs, s.LetGo = d.yes(), d.yes()
	s.FailAt = Step(d.Uint32())
	for fd := range d.IntN(6) {
		s.fds = append(s.fds, passed{target: 3 * fd, source: 100 + fd})
	}
	if d.yes() {
		s.Birth = &Birth{Payload: d.bytes()}
		for fd := range d.IntN(6) {
			s.births = append(s.births, 200+fd)
		}
		if d.yes() {
			s.crash = 300
		}
	}
	if d.yes() {
		s.Record, s.record = &Record{Path: d.text()}, 300
	}
	return &s
}

// TestDescriptionRoundTrip: what is sent is what arrives.
func TestDescriptionRoundTrip(t *testing.T) {
	for range 1000 {
		seed := rand.Uint64()
		roundTrip(t, draw{rand.New(rand.NewPCG(seed, 0))})
		if t.Failed() {
			t.Fatalf("with the seed %d", seed)
		}
	}
}

func roundTrip(t *testing.T, d draw) {
	s := d.description()
	payload, files := s.encode()
	got, err := decodeDescription(payload, files)
	if err != nil {
		t.Errorf("%+v: %v", s, err)
		return
	}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("arrived: %+v\nwas sent: %+v", got, s)
	}
	// A descriptor more or less, or a byte, is noticed.
	if _, err := decodeDescription(payload, append(files, 9)); err == nil {
		t.Error("one descriptor too many")
	}
	if len(files) > 0 {
		if _, err := decodeDescription(payload, files[1:]); err == nil {
			t.Error("one descriptor missing")
		}
	}
	cut := d.IntN(len(payload))
	if _, err := decodeDescription(payload[:cut], files); err == nil {
		t.Errorf("cut at %d", cut)
	}
}

// TestSpecIsSentWhole: who adds a field to Spec must send it.
func TestSpecIsSentWhole(t *testing.T) {
	sent := map[string]bool{
		"Files":    true,
		"RawFiles": true, // as fds
		"Session":  true, // done by forkSelf and Detach
		"Hold":     true, // as a descriptor
		"Into":     true, // done by forkSelf
		"Within":   true, // for Start
	}
	full := &Spec{
		Path: "p", Args: []string{"a"}, Env: []string{"e"}, ListenNames: []string{"l"}, Cgroup: "c",
		OOMScoreAdj: new(1), Nice: new(2),
		Rlimits: []Rlimit{{"r", 1, sys.Rlimit{Soft: 1, Hard: 2}}}, Umask: new(3), Chroot: "r",
		Credential: &sys.Credential{UID: 1}, Caps: new(sys.CapSet(1)),
		NoNewPrivs: true, Dir: "d", Birth: &Birth{}, LetGo: true, DeathSignal: 15, Hold: os.Stdin,
		FailAt: StepExec, Files: []File{{4, os.Stdout}}, RawFiles: []RawFile{{3, 77}},
		Record: &Record{File: os.Stderr, Path: "f"},
	}
	d := full.describe()
	payload, files := d.encode()
	got, err := decodeDescription(payload, files)
	if err != nil {
		t.Fatal(err)
	}
	if want := []passed{{4, 1}, {3, 77}}; !slices.Equal(got.fds, want) {
		t.Errorf("descriptors %v arrive, want %v", got.fds, want)
	}
	if got.hold != int(os.Stdin.Fd()) {
		t.Errorf("to hold: descriptor %d", got.hold)
	}
	if got.record != int(os.Stderr.Fd()) {
		t.Errorf("record: descriptor %d", got.record)
	}
	v := reflect.ValueOf(got.Spec)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !sent[name] {
			t.Errorf("%s does not arrive", name)
		}
	}
}

func FuzzDecodeDescription(f *testing.F) {
	for _, s := range []*Spec{
		{Path: "/bin/true", Args: []string{"true"}},
		{Path: "p", Args: []string{"a", ""}, Env: []string{"e=\xff"}, Umask: new(0),
			Credential: &sys.Credential{UID: 1, Groups: []uint32{2}},
			Birth:      &Birth{Payload: []byte("x")}},
	} {
		d := s.describe()
		payload, _ := d.encode()
		f.Add(payload, 0)
	}
	f.Fuzz(func(t *testing.T, payload []byte, n int) {
		s, err := decodeDescription(payload, make([]int, n&7))
		if err != nil {
			return
		}
		again, files := s.encode()
		second, err := decodeDescription(again, files)
		if err != nil {
			t.Fatal(err)
		}
		if third, _ := second.encode(); !bytes.Equal(again, third) {
			t.Errorf("%x becomes %x", again, third)
		}
	})
}

func FuzzDecodeError(f *testing.F) {
	for _, err := range []error{
		fail(StepExec, "/x", syscall.ENOENT), fail(StepUser, "", io.EOF),
		fail(StepExec, "x", &InterpreterError{Name: "\xff"}),
	} {
		f.Add(encodeError(err))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := decodeError(b)
		if again := decodeError(encodeError(err)); again.Error() != err.Error() {
			t.Errorf("%q becomes %q", err, again)
		}
	})
}

// FuzzRecvFrame sends rubbish, and a descriptor with it: the writing end of a
// pipe, which reads as ended when no copy of that is left.
func FuzzRecvFrame(f *testing.F) {
	f.Add([]byte("f"))
	f.Add([]byte("f\x00\x00\x00"))
	f.Add([]byte("f\x03\x00\x00\x00abc"))
	f.Add([]byte("f\x03\x00\x00\x00abcf\x00\x00\x00\x00"))
	f.Add([]byte("f\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 1<<16 {
			return // nothing to travel with, or more than a socket takes without a reader
		}
		if len(b) >= frameHeader && b[4] > 0 {
			b[4] = 0xff // refused: no memory for it
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ours, theirs, err := sys.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		if err := errors.Join(ours.Send(b, int(w.Fd())), ours.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			var payload []byte
			_, payload, err = recvFrame(theirs)
			if len(payload) > len(b) && err == nil {
				t.Errorf("%d bytes out of %d", len(payload), len(b))
			}
		}
		if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the descriptor that came with it: %v", err)
		}
	})
}

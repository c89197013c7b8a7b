package spawn

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/internal/sys"
)

// specs draws descriptions, without descriptors.
var specs = rapid.Custom(func(t *rapid.T) *description {
	bytesOf := rapid.SliceOf(rapid.Byte())
	str := rapid.Custom(func(t *rapid.T) string { return string(bytesOf.Draw(t, "bytes")) })
	list := rapid.SliceOfN(str, 0, 4)
	number := rapid.Ptr(rapid.Int(), true)
	var s description
	s.Path, s.Chroot, s.Dir, s.Cgroup = str.Draw(t, "path"), str.Draw(t, "chroot"), str.Draw(t, "dir"), str.Draw(t, "cgroup")
	s.Args, s.Env, s.ListenNames = list.Draw(t, "args"), list.Draw(t, "env"), list.Draw(t, "listen")
	s.OOMScoreAdj, s.Nice, s.Umask = number.Draw(t, "oom"), number.Draw(t, "nice"), number.Draw(t, "umask")
	for range rapid.IntRange(0, 3).Draw(t, "limits") {
		s.Rlimits = append(s.Rlimits, Rlimit{str.Draw(t, "name"), rapid.IntRange(0, 100).Draw(t, "number"),
			sys.Rlimit{Soft: rapid.Uint64().Draw(t, "soft"), Hard: rapid.Uint64().Draw(t, "hard")}})
	}
	if rapid.Bool().Draw(t, "credential") {
		s.Credential = &sys.Credential{UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"),
			Groups: rapid.SliceOf(rapid.Uint32()).Draw(t, "groups")}
	}
	if rapid.Bool().Draw(t, "caps") {
		s.Caps = new(sys.CapSet(rapid.Uint64().Draw(t, "set")))
	}
	s.NoNewPrivs, s.LetGo = rapid.Bool().Draw(t, "nnp"), rapid.Bool().Draw(t, "let go")
	s.FailAt = Step(rapid.Byte().Draw(t, "fail"))
	if rapid.Bool().Draw(t, "birth") {
		s.Birth = &Birth{Payload: bytesOf.Draw(t, "payload")}
	}
	for fd := range rapid.IntRange(0, 5).Draw(t, "files") {
		s.fds = append(s.fds, passed{target: 3 * fd, source: 100 + fd})
	}
	if s.Birth != nil {
		for fd := range rapid.IntRange(0, 5).Draw(t, "births") {
			s.births = append(s.births, 200+fd)
		}
	}
	return &s
})

// TestDescriptionRoundTrip: what is sent is what arrives.
func TestDescriptionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs.Draw(t, "spec")
		payload, files := s.encode()
		got, err := decodeDescription(payload, files)
		if err != nil {
			t.Fatal(err)
		}
		opts := cmp.Options{cmpopts.EquateEmpty(), cmp.AllowUnexported(description{}, passed{})}
		if diff := cmp.Diff(s, got, opts); diff != "" {
			t.Fatal(diff)
		}
		// A descriptor more or less, or a byte, is noticed.
		if _, err := decodeDescription(payload, append(files, 9)); err == nil {
			t.Fatal("one descriptor too many")
		}
		if len(files) > 0 {
			if _, err := decodeDescription(payload, files[1:]); err == nil {
				t.Fatal("one descriptor missing")
			}
		}
		cut := rapid.IntRange(0, len(payload)-1).Draw(t, "cut")
		if _, err := decodeDescription(payload[:cut], files); err == nil {
			t.Fatalf("cut at %d", cut)
		}
	})
}

// TestSpecIsSentWhole: who adds a field to Spec must send it.
func TestSpecIsSentWhole(t *testing.T) {
	sent := map[string]bool{"Files": true, "RawFiles": true /* as fds */, "Session": true /* done by forkSelf and Detach */, "Hold": true /* as a descriptor */, "Into": true /* done by forkSelf */, "Within": true /* for Start */}
	full := &Spec{
		Path: "p", Args: []string{"a"}, Env: []string{"e"}, ListenNames: []string{"l"}, Cgroup: "c", OOMScoreAdj: new(1), Nice: new(2),
		Rlimits: []Rlimit{{"r", 1, sys.Rlimit{Soft: 1, Hard: 2}}}, Umask: new(3), Chroot: "r", Credential: &sys.Credential{UID: 1}, Caps: new(sys.CapSet(1)),
		NoNewPrivs: true, Dir: "d", Birth: &Birth{}, LetGo: true, DeathSignal: 15, Hold: os.Stdin, FailAt: StepExec,
		Files: []File{{4, os.Stdout}}, RawFiles: []RawFile{{3, 77}},
	}
	d := full.describe()
	payload, files := d.encode()
	got, err := decodeDescription(payload, files)
	if err != nil {
		t.Fatal(err)
	}
	if want := []passed{{4, 1}, {3, 77}}; !cmp.Equal(got.fds, want, cmp.AllowUnexported(passed{})) {
		t.Errorf("descriptors %v arrive, want %v", got.fds, want)
	}
	if got.hold != int(os.Stdin.Fd()) {
		t.Errorf("to hold: descriptor %d", got.hold)
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
		{Path: "p", Args: []string{"a", ""}, Env: []string{"e=\xff"}, Umask: new(0), Credential: &sys.Credential{UID: 1, Groups: []uint32{2}}, Birth: &Birth{Payload: []byte("x")}},
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
	for _, err := range []error{fail(StepExec, "/x", syscall.ENOENT), fail(StepUser, "", io.EOF), fail(StepExec, "x", &InterpreterError{Name: "\xff"})} {
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
		received := 0
		for err == nil {
			var payload []byte
			var files []int
			_, payload, files, err = recvFrame(theirs)
			closeAll(files)
			received += len(files)
			if len(payload) > len(b) && err == nil {
				t.Errorf("%d bytes out of %d", len(payload), len(b))
			}
		}
		if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 1)); err != io.EOF || received != 1 {
			t.Errorf("%d descriptors received; of the pipe: %v", received, err)
		}
	})
}

//go:build linux

package notify

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// streamPair is a connected stream as vsock would give one: the conversation of
// sendAll and finish is the same.
func streamPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX,
		syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestStream(t *testing.T) {
	// more than the buffers hold: it goes in parts
	text := strings.Repeat("0123456789abcdef", 1<<16)
	for name, c := range map[string]struct {
		answer  string
		timeout time.Duration
		want    string
	}{
		"read":     {},
		"answered": {answer: "x", want: "not in the protocol"},
		"held":     {timeout: 20 * time.Millisecond, want: os.ErrDeadlineExceeded.Error()},
	} {
		ours, theirs := streamPair(t)
		raw, err := ours.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			got, err := io.ReadAll(theirs)
			if err == nil && string(got) != text {
				err = errors.New("not what was sent")
			}
			theirs.WriteString(c.answer)
			if c.timeout == 0 {
				theirs.Close()
			}
			done <- err
		}()
		if err := sendAll(raw, []byte(text), nil, nil); err != nil {
			t.Fatal(err)
		}
		if c.timeout > 0 {
			ours.SetDeadline(time.Now().Add(c.timeout))
		}
		err = finish(raw)
		if c.want == "" && err != nil ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: receiver: %v", name, err)
		}
	}
}

// Nobody listens at this address: the send ends with an error and does not hang,
// and without a kind the first is tried that this machine has.
func TestVsockNobody(t *testing.T) {
	var want string
	for _, kind := range []string{"-dgram", "-seqpacket", "-stream", ""} {
		before := openFDs()
		address := "vsock" + kind + ":1:4294967294"
		sent, err := Client{Socket: address, Timeout: 500 * time.Millisecond}.Ready()
		if sent || err == nil {
			t.Fatalf("%s: %v %v", address, sent, err)
		}
		t.Log(err)
		if after := openFDs(); after > before+2 { // the poller's two may be new
			t.Errorf("%s: %d descriptors, %d before", address, after, before)
		}
		problem := strings.TrimPrefix(err.Error(), "notify "+address)
		if kind == "" && problem != want {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
		if want == "" && (!kindMissing(err) || kind == "-stream") {
			want = problem
		}
	}
}

package notify

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// wire pairs messages with their text, in Encode's order.
var wire = []struct {
	text string
	m    Message
}{
	{"READY=1", Message{Ready: true}},
	{"RELOADING=1\nMONOTONIC_USEC=1234",
		Message{Reloading: true, Monotonic: 1234 * time.Microsecond}},
	{"STOPPING=1\nSTATUS=bye", Message{Stopping: true, Status: new("bye")}},
	{"STATUS=", Message{Status: new("")}},
	{"STATUS=a=b; ü \\n", Message{Status: new(`a=b; ü \n`)}},
	{"ERRNO=2", Message{Errno: new(Errno(2))}},
	{"ERRNO=0", Message{Errno: new(Errno(0))}},
	{"BUSERROR=org.example.Bad\nVARLINKERROR=org.example.Worse",
		Message{BusError: "org.example.Bad", VarlinkError: "org.example.Worse"}},
	{"EXIT_STATUS=0", Message{ExitStatus: new(0)}},
	{"EXIT_STATUS=255", Message{ExitStatus: new(255)}},
	{"MAINPID=4711\nMAINPIDFDID=18446744073709551615",
		Message{MainPID: 4711, MainPIDFDID: 1<<64 - 1}},
	{"MAINPIDFD=1", Message{MainPIDFD: true}},
	{"WATCHDOG=1", Message{Watchdog: true}},
	{"WATCHDOG=trigger", Message{WatchdogTrigger: true}},
	{"WATCHDOG_USEC=0", Message{WatchdogInterval: new(time.Duration(0))}},
	{"WATCHDOG_USEC=20000000", Message{WatchdogInterval: new(20 * time.Second)}},
	{"EXTEND_TIMEOUT_USEC=9223372036854775", Message{ExtendTimeout: Forever}},
	{"RESTART_RESET=1", Message{RestartReset: true}},
	{"NOTIFYACCESS=exec", Message{NotifyAccess: "exec"}},
	{"FDSTORE=1\nFDNAME=db socket\nFDPOLL=0",
		Message{FDStore: true, FDName: "db socket", FDKeepDead: true}},
	{"FDSTOREREMOVE=1\nFDNAME=db", Message{FDStoreRemove: true, FDName: "db"}},
	{"BARRIER=1", Message{Barrier: true}},
	{"READY=1\nX_OURS=1\nX_OURS=\nready=1",
		Message{Ready: true, Other: []Field{{"X_OURS", "1"}, {"X_OURS", ""}, {"ready", "1"}}}},
}

func TestCodec(t *testing.T) {
	for _, c := range wire {
		if got, err := c.m.Encode(); err != nil || string(got) != c.text {
			t.Errorf("encode %q: %q %v", c.text, got, err)
		}
		if got, err := Parse([]byte(c.text)); err != nil || !reflect.DeepEqual(got, c.m) {
			t.Errorf("parse %q: %+v %v", c.text, got, err)
		}
	}
}

func TestParseIsLenient(t *testing.T) {
	for text, want := range map[string]Message{
		"":                                       {},
		"\n\n":                                   {},
		"READY=1\n":                              {Ready: true},
		"READY=1\x00":                            {Ready: true},
		"READY=1\r\nSTATUS=x\r\n":                {Ready: true, Status: new("x")},
		"STATUS=first\nSTATUS=second":            {Status: new("first")},
		"EXTEND_TIMEOUT_USEC=1\nREADY=1":         {Ready: true, ExtendTimeout: time.Microsecond},
		"WATCHDOG_USEC=18446744073709551615":     {WatchdogInterval: new(Forever)},
		"MAINPID=007":                            {MainPID: 7},
		"EXTEND_TIMEOUT_USEC=99999999999999999":  {ExtendTimeout: Forever},
		"BUSERROR=\nFDNAME=\nMONOTONIC_USEC=000": {},
	} {
		if got, err := Parse([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

// A bad field is named and takes nothing from its neighbours.
func TestParseBadField(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, bad := range []string{
		"READY=0", "READY=", "RELOADING=yes", "STOPPING=2", "BARRIER=0", "FDSTORE=", "FDPOLL=1",
		"MAINPIDFD=2",
		"MONOTONIC_USEC=-1", "MONOTONIC_USEC=1.5", "EXTEND_TIMEOUT_USEC=",
		"EXTEND_TIMEOUT_USEC=18446744073709551616",
		"WATCHDOG=", "WATCHDOG=2", "WATCHDOG_USEC=1s", "WATCHDOG_USEC= 1", "WATCHDOG_USEC=+1",
		"MAINPID=0", "MAINPID=-1", "MAINPID=2147483648", "MAINPIDFDID=0", "MAINPIDFDID=x",
		"ERRNO=4096", "ERRNO=-2", "ERRNO=ENOENT", "EXIT_STATUS=256", "EXIT_STATUS=-1",
		"STATUS=\xff", "BUSERROR=\x01", "VARLINKERROR=ä", "NOTIFYACCESS=some",
		"FDNAME=a:b", "FDNAME=ä", "FDNAME=a\tb", "FDNAME=\x7f", "FDNAME=" + long,
		"no equals sign", "=no key",
	} {
		m, err := Parse([]byte("RESTART_RESET=1\n" + bad + "\nX=after"))
		want := (Message{RestartReset: true, Other: []Field{{"X", "after"}}})
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%q: %+v", bad, m)
		}
		if fields, ok := errors.AsType[FieldErrors](err); !ok || len(fields) != 1 {
			t.Errorf("%q: %v", bad, err)
		} else if text := err.Error(); strings.ContainsFunc(
			text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError },
		) || len(text) > 200 {
			t.Errorf("%q: unfit for a log: %q", bad, text)
		}
	}
}

func TestParseBadDatagram(t *testing.T) {
	for _, text := range []string{
		"READY=1\x00STATUS=x", "\x00\x00", "READY=1\nX=" + strings.Repeat("x", MaxSize),
	} {
		if m, err := Parse([]byte(text)); err == nil || !reflect.DeepEqual(m, Message{}) {
			t.Errorf("%.20q: %+v %v", text, m, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		m    Message
		want string
	}{
		{Message{}, `nothing to say`},
		{Message{Status: new("two\nlines")}, `"STATUS=two\nlines": more than one line`},
		{Message{Status: new("a\rb")}, `more than one line`},
		{Message{Status: new("\x00")}, `more than one line`},
		{Message{Status: new("\xff")}, `not UTF-8`},
		{Message{MainPID: -1}, `"MAINPID=-1": not a process id`},
		{Message{ExitStatus: new(256)}, `not an exit status`},
		{Message{ExitStatus: new(-1)}, `"EXIT_STATUS=-1"`},
		{Message{Errno: new(Errno(4096))}, `not an error number`},
		{Message{Reloading: true, Monotonic: -time.Microsecond}, `not a number of microseconds`},
		{Message{ExtendTimeout: -1}, `"EXTEND_TIMEOUT_USEC=-1ns"`},
		{Message{WatchdogInterval: new(-time.Second)}, `"WATCHDOG_USEC=-1s"`},
		{Message{NotifyAccess: "root"}, `not none, main, exec or all`},
		{Message{FDStore: true, FDName: "a:b"}, `"FDNAME=a:b"`},
		{Message{FDStore: true, FDName: "\t"}, `"FDNAME=\t"`},
		{Message{BusError: "ä"}, `not printable ASCII`},
		{Message{Barrier: true, Ready: true}, `BARRIER=1 must be alone`},
		{Message{Barrier: true, Other: []Field{{"X", "1"}}}, `BARRIER=1 must be alone`},
		{Message{FDStoreRemove: true}, `FDSTOREREMOVE=1 without FDNAME=`},
		{Message{Watchdog: true, WatchdogTrigger: true}, `WATCHDOG=1 and WATCHDOG=trigger`},
		{Message{Other: []Field{{"READY", "1"}}}, `"READY=1": has a field of its own`},
		{Message{Other: []Field{{"", "x"}}}, `not a key`},
		{Message{Other: []Field{{"A=B", "x"}}}, `not a key`},
		{Message{Other: []Field{{"A\nREADY", "1"}}}, `not a key`},
		{Message{Other: []Field{{"X", "a\nREADY=1"}}}, `more than one line`},
		{Message{Other: []Field{{"X", strings.Repeat("x", MaxSize-1)}}},
			`4097 bytes, at most 4096`},
	} {
		got, err := c.m.Encode()
		if err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "notify message: ") {
			t.Errorf("want %q, got %q %v", c.want, got, err)
		}
	}
}

// A time that is not a whole number of microseconds is never sent as a shorter one.
func TestMicrosecondsRoundUp(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 1: "1", 999: "1", 1000: "1", 1001: "2", Forever: "9223372036854775",
		1<<63 - 1: "9223372036854775",
	} {
		if got := formatUsec(d); got != want {
			t.Errorf("%d ns: %s µs, want %s", d, got, want)
		}
	}
}

// Whatever a stranger sends: no panic, and what was understood survives a round trip.
func FuzzParse(f *testing.F) {
	for _, c := range wire {
		f.Add([]byte(c.text))
	}
	f.Add([]byte("READY=0\nFDPOLL=1\nERRNO=4096\n\x00"))
	f.Add([]byte("WATCHDOG_USEC=18446744073709551615\r\n=\r\nx"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		m, err := Parse(datagram)
		if err != nil && strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("error of more than one line: %q", err)
		}
		text, err := m.Encode()
		if err != nil {
			alone := reflect.DeepEqual(m, Message{}) || m.Barrier || m.FDStoreRemove
			if !alone {
				t.Fatalf("%q parses and does not encode: %v", datagram, err)
			}
			return
		}
		again, err := Parse(text)
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%q\n1st %+v\n2nd %+v %v", datagram, m, again, err)
		}
	})
}

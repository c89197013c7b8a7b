package cli

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseDaemonize(t *testing.T) {
	tests := []struct {
		words string
		want  daemonizeOptions
		err   string
	}{
		{"/bin/x", daemonizeOptions{command: []string{"/bin/x"}}, ""},
		{"/bin/x -a -v", daemonizeOptions{command: []string{"/bin/x", "-a", "-v"}}, ""},
		{"-av /bin/x",
			daemonizeOptions{appends: true, verbose: true, command: []string{"/bin/x"}}, ""},
		{"-avo out /bin/x",
			daemonizeOptions{appends: true, verbose: true, stdout: "out",
				command: []string{"/bin/x"}}, ""},
		{"-oout -e err -c/ x",
			daemonizeOptions{stdout: "out", stderr: "err", dir: "/", command: []string{"x"}}, ""},
		{"-ovp -p -v x", daemonizeOptions{stdout: "vp", pidfile: "-v", command: []string{"x"}}, ""},
		{"-E A=1 -E B= -EC=x=y x",
			daemonizeOptions{env: []string{"A=1", "B=", "C=x=y"}, command: []string{"x"}}, ""},
		{"-l lock -u me -- -a",
			daemonizeOptions{lock: "lock", user: "me", command: []string{"-a"}}, ""},
		{"-o -- x", daemonizeOptions{stdout: "--", command: []string{"x"}}, ""},
		{"- x", daemonizeOptions{command: []string{"-", "x"}}, ""},
		{"-v", daemonizeOptions{verbose: true, command: []string{}}, ""},
		{"-x y", daemonizeOptions{}, "Bad option: -x"},
		{"-ax y", daemonizeOptions{}, "Bad option: -x"},
		{"--help", daemonizeOptions{}, "Bad option: --"},
		{"-a -o", daemonizeOptions{}, "Bad option: -o"},
		{"-E A x", daemonizeOptions{}, `Argument to -E ("A") is not of the form name=value.`},
		{"-E =1 x", daemonizeOptions{}, `Argument to -E ("=1") is not of the form name=value.`},
	}
	for _, tt := range tests {
		got, err := parseDaemonize(strings.Fields(tt.words))
		if err != nil || tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: error %v, want %q", tt.words, err, tt.err)
			}
			continue
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.words, got, tt.want)
		}
	}
}

// words writes the options as plainly as they can be written.
func (o daemonizeOptions) words() []string {
	var words []string
	add := func(letter, arg string) {
		if arg != "" {
			words = append(words, letter, arg)
		}
	}
	if o.appends {
		words = append(words, "-a")
	}
	if o.verbose {
		words = append(words, "-v")
	}
	add("-c", o.dir)
	add("-e", o.stderr)
	add("-l", o.lock)
	add("-o", o.stdout)
	add("-p", o.pidfile)
	add("-u", o.user)
	for _, v := range o.env {
		add("-E", v)
	}
	return append(append(words, "--"), o.command...)
}

// FuzzParseDaemonize: what was understood means the same when it is written
// plainly, and the command is the end of what was given.
func FuzzParseDaemonize(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Split(text, " ")
		o, err := parseDaemonize(words)
		if err != nil {
			return
		}
		if len(o.command) > len(words) ||
			!slices.Equal(words[len(words)-len(o.command):], o.command) {
			t.Fatalf("%q: the command %q is not its end", words, o.command)
		}
		again, err := parseDaemonize(o.words())
		if err != nil {
			t.Fatalf("%q: understood as %q: %v", words, o.words(), err)
		}
		if !reflect.DeepEqual(o, again) {
			t.Fatalf("%q:\nunderstood as %+v\n and then as %+v", words, o, again)
		}
	})
}

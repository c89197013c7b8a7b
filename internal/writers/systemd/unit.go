package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// unit is a unit file that is being written. Its first error stays.
type unit struct {
	text bytes.Buffer
	errs []error
}

func (u *unit) section(name string) {
	if u.text.Len() > 0 {
		u.text.WriteByte('\n')
	}
	fmt.Fprintf(&u.text, "[%s]\n", name)
}

// set writes an assignment whose value needs no quotes.
func (u *unit) set(key string, value any) { fmt.Fprintf(&u.text, "%s=%v\n", key, value) }

// raw writes a value that systemd does not split.
func (u *unit) raw(key, value string) { u.prefixed(key, "", value) }

// prefixed is raw with something before the value, as in "append:".
func (u *unit) prefixed(key, prefix, value string) {
	value, err := raw(key, value)
	if err != nil {
		u.errs = append(u.errs, err)
		return
	}
	u.set(key, prefix+value)
}

// words writes a value that systemd splits.
func (u *unit) words(key string, words ...string) {
	u.set(key, strings.Join(writers.Each(words, quote), " "))
}

// flag writes "yes" or "no".
func (u *unit) flag(key string, value bool) {
	text := "no"
	if value {
		text = "yes"
	}
	u.set(key, text)
}

func (u *unit) bytes() ([]byte, error) { return u.text.Bytes(), errors.Join(u.errs...) }

// comment says why the next line is as it is, to who reads the unit.
func (u *unit) comment(text string) { u.text.WriteString("# " + text + "\n") }

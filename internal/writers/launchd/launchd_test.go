package launchd

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

var nasty = []string{
	"", " ", "a  b", "'", `"`, `\`, "a\nb\r\n", "%n",
	"$HOME", "&amp; <x> ]]>", "-->", "é ☃ 𝄞", "\t", strings.Repeat("x\"'$% ", 700),
}

// plist is the part of a property list that holds arguments.
type plist struct {
	Dict struct {
		Arrays []struct {
			Strings []string `xml:"string"`
		} `xml:"array"`
	} `xml:"dict"`
}

func arguments(t testing.TB, words ...string) ([]string, error) {
	t.Helper()
	s := spec.Service{Name: "x", Command: append(spec.Command{"/bin/echo"}, words...)}
	out, err := Target().Render([]spec.Service{s}, writers.Options{})
	if err != nil {
		return nil, err
	}
	var p plist
	d := xml.NewDecoder(strings.NewReader(string(out.Files[0].Content)))
	if err := d.Decode(&p); err != nil {
		t.Fatal(err)
	}
	if got, _ := writers.ReadMark(out.Files[0].Content); got != writers.Ours {
		t.Errorf("the mark reads as %v", got)
	}
	return p.Dict.Arrays[0].Strings[1:], nil
}

func TestReadBack(t *testing.T) {
	if got, err := arguments(t, nasty...); err != nil || !slices.Equal(got, nasty) {
		t.Errorf("%v\n got %q\nwant %q", err, got, nasty)
	}
}

// TestRefused: what XML cannot hold is refused, not changed.
func TestRefused(t *testing.T) {
	for _, text := range []string{"\x01", "\x1b[0m", "\xff", "\uffff"} {
		if got, err := arguments(t, text); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func FuzzReadBack(f *testing.F) {
	for _, text := range nasty {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := arguments(t, text)
		if err == nil && !slices.Equal(got, []string{text}) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

package lastwords

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		printed string
		n       int
		want    string // with "|" between the lines
	}{
		{"", 3, ""}, {"\n", 3, ""}, {"a", 3, "a"}, {"a\n", 3, "a"}, {"a\nb", 1, "b"},
		{"a\nb\n", 1, "b"}, {"a\nb\nc\n", 2, "b|c"},
		{"a\n\n", 2, "a|"}, {"\n\na", 3, "||a"}, {"a\nb", 0, ""},
	} {
		if got := strings.Join(Lines([]byte(tt.printed), tt.n), "|"); got != tt.want {
			t.Errorf("%d of %q: %q, want %q", tt.n, tt.printed, got, tt.want)
		}
	}
}

func TestText(t *testing.T) {
	many := strings.Repeat("line\n", 20)
	ten := strings.TrimSuffix(strings.Repeat("line\n", Most), "\n")
	for printed, want := range map[string]string{
		"": "", "\n\n": "", "a\n\nb\n\n": "a\n\nb", "\xff\xfex": "\ufffdx", many: ten,
		"x\npanic: oops\n\n" + many:              "panic: oops\n\n" + ten[:8*5-1],
		"fatal error: all goroutines are asleep": "fatal error: all goroutines are asleep",
	} {
		if got := Text([]byte(printed)); got != want {
			t.Errorf("%q: %q, want %q", printed, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	for _, from := range []int64{0, 6, 8, 10, 11} {
		tail, cut, err := Read(f, from, 4)
		if err != nil {
			t.Error(err)
		}
		got = append(got, string(tail)+map[bool]string{true: " cut"}[cut])
	}
	if want := []string{"6789 cut", "6789", "89", "", ""}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

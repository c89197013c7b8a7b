package layout

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNamesSortAndParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]string{"/var/log/web.log", "web",
			"/a/x.20261121T024830.123456Z"}).Draw(
			t, "base",
		)
		us := rapid.Int64Range(0, 4e15).Draw(t, "time") // to the year 2096
		at := time.UnixMicro(us)
		name := Name(base, at)
		if later := Name(base, at.Add(time.Microsecond)); later <= name {
			t.Fatalf("%s does not sort before %s", name, later)
		}
		for _, c := range []Compression{None, Gzip, Zstd} {
			b, r, ok := Parse(name + c.Ext())
			if !ok || b != base || !r.Time.Equal(at) || r.Compression != c {
				t.Fatalf("Parse(%s%s) = %q, %+v, %v", name, c.Ext(), b, r, ok)
			}
		}
	})
}

func TestOtherNamesAreNotOurs(t *testing.T) {
	for _, name := range []string{
		"web.log", "web.log.1", "web.log.gz", "web.log.20261121", "/x/.20261121T024830.123456Z",
		".20261121T024830.123456Z", "web.log.20261121T024830.123456Z.zst.tmp",
		"web.log.20261321T024830.123456Z", "web.log-20261121T024830.123456Z", "",
	} {
		if _, _, ok := Parse(name); ok {
			t.Errorf("%q was taken for a rotated log", name)
		}
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{
		"a.log", "a.log.20260103T000000.000000Z", "a.log.20260101T000000.000000Z.gz",
		"a.log.20260102T000000.000000Z.zst",
		// its compression was interrupted between rename and remove
		"a.log.20260102T000000.000000Z",
		"a.log.20260104T000000.000000Z.zst.tmp", "b.log.20260101T000000.000000Z", "a.log.1",
	} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := List(filepath.Join(dir, "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		got = append(got, filepath.Base(r.Path))
	}
	want := []string{"a.log.20260101T000000.000000Z.gz", "a.log.20260102T000000.000000Z",
		"a.log.20260103T000000.000000Z"}
	if !slices.Equal(got, want) {
		t.Errorf("List = %q, want %q", got, want)
	}
	if list, err := List(filepath.Join(dir, "none", "a.log")); err != nil || list != nil {
		t.Errorf("a missing directory: %v, %v", list, err)
	}
}

package kept

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// The journal says what is true of all, or of those that have changed.
func TestJournal(t *testing.T) {
	keeping(t, func(o *owner, dir string) {
		o.do(func() { o.is("a", "b", "c"); o.Journal.Write("a") })
		o.finds(dir, "a", "b", "c") // there was none
		o.do(func() { o.is("d", "e"); delete(o.records, "a"); o.Journal.Write("a", "d") })
		o.finds(dir, "b", "c", "d")
		o.do(func() { o.Journal.Write(All) })
		o.finds(dir, "b", "c", "d", "e")
		o.do(func() {
			o.is("f")
			o.Journal.WriteSoon("f")
			o.Write()
		})
		o.finds(dir, "b", "c", "d", "e", "f")
	})
}

// A journal that somebody has removed is written again, where it was or in another directory.
func TestMove(t *testing.T) {
	keeping(t, func(o *owner, dir string) {
		o.is("a", "b")
		for _, to := range []string{dir, t.TempDir()} {
			if err := o.save(); err != nil {
				t.Error(err)
			}
			if o.Missing(dir) {
				t.Error("it is there, and said to be missing")
			}
			if err := os.Remove(filepath.Join(dir, persist.JournalFile)); err != nil {
				t.Error(err)
			}
			if !o.Missing(dir) {
				t.Error("it is not missed")
			}
			o.do(func() { o.Move(to) })
			o.finds(to, "a", "b")
			o.do(func() { o.Journal.Write("a") })
			o.finds(to, "a", "b")
			if !persist.Owned(dir) || persist.CutOff(dir) {
				t.Error("nobody would look for it there")
			}
		}
		if !o.Missing(dir) {
			t.Error("it is where it was, too")
		}
	})
}

// Without an end, an appended journal would fill the runtime directory.
func TestJournalStaysSmall(t *testing.T) {
	keeping(t, func(o *owner, dir string) {
		var size int64
		for i := range 3000 {
			o.do(func() {
				r := Record{Name: "s"}
				r.Reason = fmt.Sprint(i, strings.Repeat("x", 1000))
				o.records["s"] = r
				o.Journal.Write("s")
			})
			if i%100 == 0 {
				info, err := os.Stat(filepath.Join(dir, persist.JournalFile))
				if err != nil {
					t.Fatal(err)
				}
				size = max(size, info.Size())
			}
		}
		if size < 1<<19 || size > 1<<21 { // it may grow by 1 MiB
			t.Errorf("grew to %d bytes", size)
		}
		if got := found(t, dir).Records["s"].Reason; !strings.HasPrefix(got, "2999x") {
			t.Errorf("%.10s", got)
		}
	})
}

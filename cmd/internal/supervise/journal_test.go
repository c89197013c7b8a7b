package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// Without an end, an appended journal would fill the runtime directory.
func TestJournalStaysSmall(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	head, err := persist.NewHead()
	if err != nil {
		t.Fatal(err)
	}
	b.keepJournal(dir, head)
	s := b.put(plain("s"))
	end := b.run()
	var size int64
	for i := range 3000 {
		done := make(chan error, 1)
		if err := b.ask(t.Context(), func() {
			s.StillWaits(fmt.Sprint(i, strings.Repeat("x", 1000)))
			b.note(s)
			b.journal.Await(func(err error) { done <- err })
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
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
	got, err := persist.Find[record]("", dir)
	if err != nil || !strings.HasPrefix(got.Records["s"].Reason, "2999x") {
		t.Errorf("%v", err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

package journal_test

import (
	"errors"
	"log/slog"
	"os"

	"github.com/daemonry/daemonry/journal"
)

// Under systemd this is an entry of priority 3, and journalctl -p err shows it.
func Example() {
	log := slog.New(journal.NewHandler(os.Stderr, nil))
	log.Error("cannot open the shop", "door", 7, "error", errors.New("no key"))
}

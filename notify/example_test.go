package notify_test

import (
	"context"
	"log"

	"github.com/daemonry/daemonry/notify"
)

// A server that runs under systemd, under Daemonry, and by hand: nothing in it asks which.
func Example() {
	manager := notify.Take() // no child speaks in our name
	if _, err := manager.Status("opening the database"); err != nil {
		log.Print(err)
	}
	// …
	if _, err := manager.Ready(); err != nil {
		log.Print(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		if err := manager.KeepAlive(ctx, nil); err != nil {
			log.Print(err)
		}
	}()
	// …
	if _, err := manager.Stopping(); err != nil {
		log.Print(err)
	}
}

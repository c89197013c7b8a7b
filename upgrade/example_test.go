package upgrade_test

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"time"

	"github.com/daemonry/daemonry/upgrade"
)

// A listener whose connections are asked every minute whether they still are, in each process anew.
// Control would be called by the first process alone: what it sets belongs to the socket.
func ExampleUpgrader_ListenWith() {
	u, err := upgrade.New(upgrade.Options{})
	if err != nil {
		log.Fatal(err)
	}
	lc := net.ListenConfig{KeepAlive: time.Minute}
	l, err := u.ListenWith(context.Background(), lc, "http", "tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
}

// Each process leaves the next one a file of its own, with what it knows.
func ExampleUpgrader_AddFile() {
	u, err := upgrade.New(upgrade.Options{})
	if err != nil {
		log.Fatal(err)
	}
	seen := map[string]int{}
	old, err := u.File("seen", nil) // what the predecessor has left
	switch {
	case err == nil:
		if err := json.NewDecoder(old).Decode(&seen); err != nil {
			log.Fatal(err)
		}
		old.Close()
	case !errors.Is(err, fs.ErrNotExist):
		log.Fatal(err)
	}
	seen["start"]++
	own, err := os.CreateTemp("", "seen")
	if err != nil {
		log.Fatal(err)
	}
	os.Remove(own.Name())
	if err := json.NewEncoder(own).Encode(seen); err != nil {
		log.Fatal(err)
	}
	if _, err := own.Seek(0, 0); err != nil { // the successor reads from where it stands
		log.Fatal(err)
	}
	if err := u.AddFile("seen", own); err != nil {
		log.Fatal(err)
	}
}

// The new file must be a later build of the same program: what is not built with this package at
// all would not be ready in time, and is not started. Reading the build information takes less than
// a millisecond, and 700 KiB in the program.
func ExampleOptions_check() {
	check := func(_ context.Context, program string) error {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return err
		}
		if own := "example.com/app"; info.Main.Path != own {
			return fmt.Errorf("built from %s, not from %s", info.Main.Path, own)
		}
		return nil
	}
	u, err := upgrade.New(upgrade.Options{Check: check, Pause: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
}

// What the version before had open and this one has not asked for is closed by Ready.
func ExampleUpgrader_Untaken() {
	u, err := upgrade.New(upgrade.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range u.Untaken() {
		log.Printf("no more use for %s, a %v at %s", h.Name, h.Kind, h.Address)
	}
	if err := u.Ready(); err != nil {
		log.Fatal(err)
	}
}

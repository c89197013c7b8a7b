package kernel

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/notify"
)

// helpers are programs that services run: this test binary with the name of one.
var helpers = map[string]func(){"hog": hog, "dog": dog, "deaf": deaf}

// hog takes memory until it is stopped, at once or on SIGUSR1.
func hog() {
	if len(os.Args) > 2 && os.Args[2] == "later" {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		<-c
	}
	var held [][]byte
	for range 512 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		held = append(held, b)
	}
	println("took half a gigabyte and lives")
	time.Sleep(time.Hour)
	_ = held
}

// dog says every half second that it is well, until SIGUSR1.
func dog() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	client := notify.Take()
	tick := time.NewTicker(500 * time.Millisecond)
	client.Ready() // that nothing hears it shows in the test
	for {
		select {
		case <-tick.C:
			client.Watchdog()
		case <-c:
			time.Sleep(time.Hour)
		}
	}
}

// deaf does not end when it is asked to.
func deaf() {
	signal.Ignore(syscall.SIGTERM)
	time.Sleep(time.Hour)
}

package daemonry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
)

// Command is the value of a "-s" flag: a word of Commands, or "status". It is a flag.Value, and one
// of package pflag.
//
//	var command daemonry.Command
//	flag.Var(&command, "s", "send the daemon `+"`word`"+`: "+command.Words())
//	flag.Parse()
//	if command.Word != "" {
//		os.Exit(command.Run(ctx, "/run/app.pid", os.Stdout, os.Stderr))
//	}
type Command struct {
	// Word is what was given; "" if nothing was.
	Word string
	// Commands are the words. Nil means DefaultCommands.
	Commands Commands
}

// status is the word that asks and sends nothing.
const status = "status"

// Words are those that can be given, for a usage line.
func (c *Command) Words() string {
	return strings.Join(append(slices.Sorted(maps.Keys(c.commands())), status), ", ")
}

func (c *Command) commands() Commands {
	if c.Commands == nil {
		return DefaultCommands()
	}
	return c.Commands
}

// Set takes a word, as package flag does. One that there is not is an error.
func (c *Command) Set(word string) error {
	if _, ok := c.commands()[word]; !ok && word != status {
		return fmt.Errorf("no such word: use one of %s", c.Words())
	}
	c.Word = word
	return nil
}

// String is the word.
func (c *Command) String() string { return c.Word }

// Type is what package pflag shows for the value.
func (c *Command) Type() string { return "word" }

// Exit statuses of Command.Run, which are those of "status" in the Linux Standard Base.
const (
	statusFailed     = 1
	statusNotRunning = 3
	statusUnknown    = 4
)

// Run does what the word says with the daemon of pidFile: it sends the signal, as Commands.Send
// does, or prints what Instance.String says. It returns the exit status for the program: 0 when it
// is done or the daemon runs; 3 when the daemon does not run, which is told on stderr, or for
// "status" on stdout; 1 when the signal could not be sent, 4 when "status" could not find out.
func (c *Command) Run(ctx context.Context, pidFile string, stdout, stderr io.Writer) int {
	var err error
	if c.Word == status {
		err = c.tell(pidFile, stdout)
	} else {
		err = c.commands().Send(ctx, pidFile, c.Word)
	}
	switch {
	case err == nil:
		return 0
	case c.Word == status && errors.Is(err, ErrNotRunning):
		fmt.Fprintln(stdout, "not running:", err)
		return statusNotRunning
	}
	fmt.Fprintln(stderr, err)
	switch {
	case errors.Is(err, ErrNotRunning):
		return statusNotRunning
	case c.Word == status:
		return statusUnknown
	}
	return statusFailed
}

func (c *Command) tell(pidFile string, out io.Writer) error {
	i, err := Find(pidFile)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, i)
	return errors.Join(err, i.Close())
}

// Handlers are what a daemon does for the words of Commands.
type Handlers map[string]func(context.Context) error

// ErrStop is for a handler that ends Obedience.Serve without an error.
var ErrStop = errors.New("stop")

// Obedience is a daemon that has begun to listen to the words of its Commands.
type Obedience struct {
	commands Commands
	handlers Handlers
	signals  chan os.Signal
}

// Obey begins to listen for the words that have a handler. From here on their signals wait for
// Serve and do nothing else, so call it before Ready: a signal that comes earlier ends the process.
// A handler is an error if its word is not in c, or no program gets its signal (SIGKILL, SIGSTOP).
func (c Commands) Obey(h Handlers) (*Obedience, error) {
	o := &Obedience{commands: c, handlers: h, signals: make(chan os.Signal, waiting)}
	if len(h) == 0 {
		return nil, errors.New("daemonry: no handlers") // Notify would take all signals
	}
	var list []os.Signal
	for _, word := range slices.Sorted(maps.Keys(h)) {
		sig, ok := c[word]
		if !ok || h[word] == nil {
			return nil, fmt.Errorf("daemonry: handler for %q: no such word, or no function", word)
		}
		if !catchable(sig) {
			return nil, fmt.Errorf("daemonry: handler for %q: no program gets %v", word, sig)
		}
		list = append(list, sig)
	}
	signal.Notify(o.signals, list...)
	return o, nil
}

// waiting is how many signals may wait for a handler that is at work. Package os/signal drops more,
// as the kernel does more than one of a kind.
const waiting = 64

// Serve calls the handlers of the words that come, one after the other in the order in which they
// came, those of one signal in the order of their words, until ctx ends or a handler returns an
// error. It returns nil when ctx has ended or the
// handler returned ErrStop, else the handler's error after the word. The handlers get ctx.
func (o *Obedience) Serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig := <-o.signals:
			for _, word := range slices.Sorted(maps.Keys(o.handlers)) {
				if o.commands[word] != sig {
					continue
				}
				switch err := o.handlers[word](ctx); {
				case errors.Is(err, ErrStop):
					return nil
				case err != nil:
					return fmt.Errorf("%s: %w", word, err)
				}
			}
		}
	}
}

// Close gives the signals back to whoever else wants them; without others they have their default
// actions.
func (o *Obedience) Close() { signal.Stop(o.signals) }

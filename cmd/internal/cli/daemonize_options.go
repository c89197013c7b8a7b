package cli

import (
	"strings"
)

// daemonizeOptions are the options of daemonize(1) as they were given.
type daemonizeOptions struct {
	appends bool     // -a
	dir     string   // -c
	stderr  string   // -e
	env     []string // -E, NAME=VALUE each
	lock    string   // -l
	stdout  string   // -o
	pidfile string   // -p
	user    string   // -u
	verbose bool     // -v
	command []string
}

// badOption is an option that daemonize does not have, or one without its argument.
type badOption struct{ letter string }

func (e badOption) Error() string { return "Bad option: -" + e.letter }

// parseDaemonize takes words apart by the rules of the getopt(3) that daemonize
// carries: letters may stand together, an argument may follow its letter at
// once or in the next word, and the first word that is no option, or the one
// after "--", begins the command.
func parseDaemonize(words []string) (o daemonizeOptions, err error) {
	for len(words) > 0 {
		word := words[0]
		if len(word) < 2 || word[0] != '-' {
			break
		}
		words = words[1:]
		if word == "--" {
			break
		}
		for at := 1; at < len(word); at++ {
			letter := word[at : at+1]
			if o.flag(letter) {
				continue
			}
			arg := word[at+1:]
			if !strings.Contains("ceElopu", letter) || arg == "" && len(words) == 0 {
				return o, badOption{letter}
			}
			if arg == "" {
				arg, words = words[0], words[1:]
			}
			if err := o.argument(letter, arg); err != nil {
				return o, err
			}
			break
		}
	}
	o.command = words
	return o, nil
}

// flag sets an option without an argument, if the letter is one.
func (o *daemonizeOptions) flag(letter string) bool {
	switch letter {
	case "a":
		o.appends = true
	case "v":
		o.verbose = true
	default:
		return false
	}
	return true
}

func (o *daemonizeOptions) argument(letter, arg string) error {
	if letter != "E" {
		*map[string]*string{
			"c": &o.dir, "e": &o.stderr, "l": &o.lock, "o": &o.stdout, "p": &o.pidfile,
			"u": &o.user,
		}[letter] = arg
		return nil
	}
	if strings.Index(arg, "=") < 1 {
		return complainf("Argument to -%s (%q) is not of the form name=value.", letter, arg)
	}
	o.env = append(o.env, arg)
	return nil
}

package cli

import "github.com/daemonry/daemonry/spec"

func detachPage(call *detachCall) page {
	s := &call.Service
	groups := []group{
		{"When it is ready", []option{
			{"ready", "MODE", "How it shows that it came up; see READINESS.", string(spec.ProbeSettled), parsed(&s.Ready, spec.ParseProbe)},
			{"timeout", "DURATION", "Time until it must be ready, \"forever\" for no limit. What is not ready by then is ended.", spec.DefaultTimeout.String(), parsedTo(&s.Timeout, spec.ParseDuration)},
		}},
	}
	groups = append(groups, processOptions(&s.Process)...)
	groups = append(groups, group{"How it is started", []option{
		{"pidfile-mode", "MODE", "Mode of the pid file, in octal.", "0644", parsedTo(&call.PIDFileMode, spec.ParseMode)},
		{"argv0", "NAME", "The name the program sees as its own.", "PROGRAM", parsed(&call.Argv0, word)},
		{"pass-fd", "N", "Hand over our open descriptor N, under its number. May be repeated.", "", appended(&call.PassFDs, number)},
	}}, group{"What is said about it", []option{
		{"json", "", "Print {\"pid\": …, \"took\": …} in place of the pid.", "", toggle(&call.json)},
		{"quiet", "", "Print no pid, no notes and no waiting line.", "", toggle(&call.quiet)},
	}})
	return page{
		name:     "detach",
		short:    "start a program as a daemon, and say when it is ready",
		synopsis: []string{"daemonry detach [OPTION…] -- PROGRAM [ARG…]"},
		about: []string{
			"Starts PROGRAM as a daemon: in a session of its own without a terminal, as nobody's child, with every signal at its default and unblocked, with no descriptor but 0, 1 and 2 and those asked for, and with none of our marks in its environment. Nothing of ours stays behind.",
			"When the program is ready its pid is printed, alone, on standard output, and the exit status is 0. Anything else is a failure: the exit status and standard error say which, with the program's last words where its standard error is a file. Of a failed launch no process and no pid file is left; only a launch that is itself killed by SIGKILL leaves the file, of a process that has ended, and the next one takes it. SIGINT, SIGTERM, SIGHUP and SIGQUIT while waiting end the launch in the same way.",
			"The daemon has the lock on its pid file as descriptor 10, which it can only read by, and by which it is known again whatever becomes of the file: touch does not hide it, and a cleaner that takes the file does not let a second one start, whose attempt puts the file back. A program that closes all its descriptors gives the lock up; then it is known by the modification time of the file alone, which touch destroys. Keep pid files in /run or $XDG_RUNTIME_DIR, out of the reach of cleaners of /tmp. Open file description locks are Linux's: elsewhere nothing is locked once the launch is over. Everybody may read a pid file, and so lock it; such a lock holds up no start. The file of --lockfile is locked for whoever may read it: made by us, it is its owner's alone (0600).",
			"Relative paths in options begin in the directory where the command is called. PROGRAM is searched for in the daemon's PATH if it has no slash. The \"--\" may be left out: options after PROGRAM are the program's.",
		},
		options: groups,
		sections: []section{{"readiness", "Whatever the mode, a READY=1 by sd_notify(3) that comes first counts (with settled, where rest, or 5 s of work, must follow it), and a death is noticed at once, never by the time-out.", []row{
			{"settled", "It has come to rest: for 250 ms no thread of it and of what it started ran or was loading, next to no processor time was used, and nothing was started or opened; 100 ms are enough once it listens on a TCP port. A program that is connecting or asks a name server is not at rest. One that is never at rest counts as up when it has done little for 1.5 s, or after 10 s, in which what it waits for a processor does not count, or 20 s at most (or --timeout, if that is shorter), and a note says so. Where what it does cannot be seen (another system than Linux, a hidden /proc), it must be alive for 1 s."},
			{"settled:D", "The same, with D in place of the 250 ms."},
			{"exec", "PROGRAM was executed, nothing more."},
			{"settle:D", "It is still alive after D, whatever it does."},
			{"notify", "It sent READY=1 by sd_notify(3)."},
			{"fd:N", "It wrote a newline to its descriptor N."},
			{"tcp:HOST:PORT", "It accepts a connection there. As for unix: and http:, it must be proven that it does: whoever else has the port does not count, nor does an address of another machine."},
			{"unix:PATH", "It accepts a connection on that socket."},
			{"http:URL", "A GET of URL is answered with a 2xx status."},
			{"cmd:COMMAND", "COMMAND exits with status 0; it is tried again and again."},
			{"log:REGEXP", "A line of its output, which must go to a file, matches."},
			{"file:PATH", "PATH has appeared, or was written anew: one that was there before the start does not count as it is."},
		}}},
		statuses: []row{
			{"0", "up and ready"},
			{"1…123", "the program's own status: it ended before it was ready"},
			{"128+N", "signal N killed it before it was ready, or ended the wait"},
			{"124", "not ready in time"},
			{"125", "daemonry failed; the message says at which step"},
			{"126", "PROGRAM was found and cannot be executed"},
			{"127", "PROGRAM was not found"},
			{"2", "wrong usage; nothing was started"},
		},
		examples: []row{
			{"daemonry detach --pidfile web.pid --stderr web.log -- ./web", "A server with a pid file and a log:"},
			{"daemonry detach --ready file:up --timeout 1m -- ./slow", "One that takes its time to come up:"},
			{"daemonry detach --user nobody --rlimit nofile=4096 -- sleep 600", "One that runs as somebody else, within limits:"},
			{"daemonry detach --clear-env --env LANG=C --json -- sleep 600", "One that knows nothing of our environment:"},
		},
		seeAlso: []string{"daemonry check", "daemonry status", "daemonry stop", "daemon(7)", "sd_notify(3)", "docs/exit-status.md"},
	}
}

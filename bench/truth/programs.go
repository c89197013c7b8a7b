//go:build linux

package main

import (
	"os"
	"os/exec"
	"strings"
)

// program is a real program, well and with faults in its start. @DIR@ is a directory that has its
// files, of its own for each launch; @PORT@ a free port; @TAKEN@ one that somebody else listens on;
// @CLOSED@ a directory that may not be read; @BUILD@ what was built once. All are replaced in the
// files too.
type program struct {
	name  string
	needs []string // programs that must be installed
	word  string   // what it prints when it serves; "": it accepts connections at its port
	user  string   // who it runs as, if we are root
	good  variant
	bad   []variant
}

type variant struct {
	name    string
	command []string
	// asleep says that it sleeps by a timer before it dies, which no look tells from a program that
	// is up and has nothing to do.
	asleep bool
	user   string // in place of the program's
	root   bool   // only root can make this fault
}

func words(text string) []string { return strings.Fields(text) }

// fault is a variant that fails as name says.
func fault(name, command string) variant { return variant{name: name, command: words(command)} }

func sleeper(name, command string) variant {
	return variant{name: name, command: words(command), asleep: true}
}

// programs are all that are tried.
func programs() []program {
	const java = "java -XX:+UseSerialGC -Xshare:auto -cp @BUILD@/java"
	return []program{
		{
			name: "shell", needs: words("sh sed"), word: "worker serving",
			good: fault("", "sh good.sh"),
			bad: []variant{
				fault("syntax error at the end", "sh syntax.sh"),
				fault("command not found", "sh command.sh"),
				fault("no configuration file", "sh config.sh"),
				fault("a pipeline fails", "sh pipeline.sh"),
				sleeper("sleep 1; exit 3", "sh sleeps.sh"),
			},
		},
		{
			name: "Python", needs: words("python3"), good: fault("", "python3 good.py @PORT@"),
			bad: []variant{
				fault("syntax error", "python3 syntax.py"),
				fault("module missing, imported late", "python3 module.py"),
				fault("port taken", "python3 good.py @TAKEN@"),
				fault("exception after 300 ms of work", "python3 work.py"),
				fault("configuration is no JSON", "python3 config.py"),
				{name: "data directory is another's", command: words("python3 data.py"),
					user: "nobody", root: true},
				fault("listens, a thread loads and fails", "python3 thread.py @PORT@"),
				sleeper("sleeps 600 ms and fails", "python3 sleeps.py"),
			},
		},
		{
			name: "gunicorn", needs: words("gunicorn"),
			good: fault("", "gunicorn -b 127.0.0.1:@PORT@ good:app"),
			bad: []variant{
				fault("module missing in the workers", "gunicorn -b 127.0.0.1:@PORT@ module:app"),
				fault("workers fail after 500 ms of work",
					"gunicorn -w 2 -b 127.0.0.1:@PORT@ work:app"),
				sleeper("port taken, tried five times", "gunicorn -b 127.0.0.1:@TAKEN@ good:app"),
			},
		},
		{name: "Node", needs: words("node"), good: fault("", "node good.js @PORT@"), bad: []variant{
			fault("syntax error", "node syntax.js"),
			fault("module missing, required late", "node module.js"),
			fault("port taken", "node good.js @TAKEN@"),
			fault("exception after 300 ms of work", "node work.js"),
			fault("exception in a worker thread", "node worker.js"),
			sleeper("unhandled rejection after a 100 ms timer", "node sleeps.js"),
		}},
		{name: "npm", needs: words("npm node"), good: fault("", "npm start"), bad: []variant{
			fault("module missing, required late", "npm run module"),
			fault("builds, and fails", "npm run build"),
		}},
		{name: "Ruby", needs: words("ruby"), good: fault("", "ruby good.rb @PORT@"), bad: []variant{
			fault("syntax error", "ruby syntax.rb"),
			fault("gem missing, required late", "ruby module.rb"),
			fault("port taken", "ruby good.rb @TAKEN@"),
			fault("exception after 300 ms of work", "ruby work.rb"),
		}},
		{name: "Perl", needs: words("perl"), good: fault("", "perl good.pl @PORT@"), bad: []variant{
			fault("syntax error", "perl syntax.pl"),
			fault("module missing, required late", "perl module.pl"),
			fault("port taken", "perl good.pl @TAKEN@"),
			fault("dies after 300 ms of work", "perl work.pl"),
		}},
		{
			name: "PHP", needs: words("php"), good: fault("", "php -S 127.0.0.1:@PORT@ good.php"),
			bad: []variant{
				fault("syntax error", "php syntax.php"),
				fault("file missing, required late", "php module.php"),
				fault("port taken", "php -S 127.0.0.1:@TAKEN@ good.php"),
				fault("fatal error after 300 ms of work", "php work.php"),
			},
		},
		{
			name: "Java", needs: words("java javac"), good: fault("", java+" Good @PORT@"),
			bad: []variant{
				fault("no such class", java+" NoSuchClass"),
				fault("main throws after loading classes", java+" Throws"),
				fault("port taken", java+" Good @TAKEN@"),
				fault("exception after 300 ms of work", java+" Work"),
				fault("exception in a pool of threads", java+" Pool"),
				fault("heap that cannot be had", "java -Xms100000g -cp @BUILD@/java Good @PORT@"),
			},
		},
		{
			name: "Java from source", needs: words("java javac"),
			good: fault("", "java @BUILD@/java/Good.java @PORT@"),
			bad: []variant{
				fault("does not compile", "java Broken.java"),
				fault("main throws after loading classes", "java @BUILD@/java/Throws.java"),
			},
		},
		{name: "Go", needs: words("go"), good: fault("", "@BUILD@/go @PORT@"), bad: []variant{
			fault("panic after 200 ms of init", "@BUILD@/go @PORT@ panic"),
			fault("panic in a goroutine", "@BUILD@/go @PORT@ goroutine"),
			fault("port taken", "@BUILD@/go @TAKEN@"),
			fault("listens, loads and fails", "@BUILD@/go @PORT@ listens"),
		}},
		{
			name: "nginx", needs: words("nginx"), good: fault("", "nginx -c @DIR@/good.conf"),
			bad: []variant{
				fault("an upstream's include is missing", "nginx -c @DIR@/include.conf"),
				fault("unknown directive", "nginx -c @DIR@/directive.conf"),
				fault("an upstream is not found", "nginx -c @DIR@/upstream.conf"),
				sleeper("port taken, tried five times", "nginx -c @DIR@/taken.conf"),
			},
		},
		{
			name: "Redis", needs: words("redis-server"),
			good: fault("", "redis-server @DIR@/good.conf"),
			bad: []variant{
				fault("bad directive", "redis-server @DIR@/directive.conf"),
				fault("port taken", "redis-server @DIR@/taken.conf"),
				fault("no data directory", "redis-server @DIR@/data.conf"),
				fault("database file is cut", "redis-server @DIR@/broken.conf"),
			},
		},
		{
			name: "PostgreSQL", needs: words("postgres initdb"), user: "postgres",
			word: "ready to accept connections",
			good: fault("", "postgres -D @BUILD@/pg -p @PORT@ -k @DIR@ -h 127.0.0.1"),
			bad: []variant{
				{name: "data directory is another's",
					command: words("postgres -D @CLOSED@ -p @PORT@"), root: true},
				fault("bad setting", "postgres -D @BUILD@/pg -p @PORT@ -c shared_bufers=1"),
				fault("port taken", "postgres -D @BUILD@/pg -p @TAKEN@ -k @DIR@ -h 127.0.0.1"),
				fault("control file is missing",
					"postgres -D @BUILD@/pgcut -p @PORT@ -k @DIR@ -h 127.0.0.1"),
			},
		},
	}
}

// missing names a program that is not installed, "" if all are.
func (p program) missing() string {
	for _, name := range p.needs {
		if _, err := exec.LookPath(name); err != nil {
			return name
		}
	}
	return ""
}

// as is who a variant runs as, "" for who we are.
func (p program) as(v variant) string {
	switch {
	case os.Geteuid() != 0:
		return ""
	case v.user != "":
		return v.user
	}
	return p.user
}

// files is the directory of its files, below programs.
func (p program) files() string {
	switch p.name {
	case "shell":
		return "sh"
	case "Java from source":
		return "javac"
	case "Go", "Java", "PostgreSQL":
		return ""
	}
	return strings.ToLower(p.name)
}

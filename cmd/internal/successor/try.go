package successor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// Verb are the words with which Try calls the new program, before the directories of runtime and
// state. A Manifest is on standard input. The program prints one line, Answer, if it can go on with
// all that.
var Verb = []string{"supervisor", "check-state"}

// TryTime is how long the new program may take to prove itself.
const TryTime = 10 * time.Second

// Try has the program look at all that it would have to go on with. It returns what the program
// says its version is, or why it would not do: the words of execve(2), its own, or that it did not
// come to an end.
func Try(
	ctx context.Context, program string, m Manifest, runtimeDir, stateDir string,
) (version string, err error) {
	m.Version = manifestVersion
	in, err := write(m)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := sys.MemoryFile("stdout")
	if err != nil {
		return "", err
	}
	defer out.Close()
	words, err := sys.MemoryFile("stderr")
	if err != nil {
		return "", err
	}
	defer words.Close()
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	pid, err := spawn.Start(ctx, &spawn.Spec{
		Path: program, Args: append(append([]string{"daemonry"}, Verb...), runtimeDir, stateDir),
		Env: os.Environ(), Dir: "/", Session: true, // whatever it starts is found by it
		Files: []spawn.File{{FD: 0, Source: in}, {FD: 1, Source: out}, {FD: 2, Source: words}},
	})
	if err != nil {
		return "", err
	}
	if err := await(ctx, pid); err != nil {
		return "", err
	}
	// How it ended nobody here can tell: the engine reaps all children. What it says decides.
	version, ok := strings.CutPrefix(text(out), answer)
	if ok && version != "" && !strings.Contains(version, "\n") {
		return version, nil
	}
	lines := strings.Split(text(words), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return "", errors.New(last)
	}
	return "", errors.New("it ended without saying that it can go on")
}

// answer goes before the version.
const answer = "can go on: "

// Answer is what Check's caller prints when it has no error.
func Answer(version string) string { return answer + version }

// await waits for the end of the trial, and makes it if that takes too long. It is held, because
// somebody else may reap it.
func await(ctx context.Context, pid int) error {
	process, err := sys.Pin(pid)
	if errors.Is(err, syscall.ESRCH) { // ended already
		return nil
	}
	if err != nil {
		return err
	}
	defer process.Close()
	ctx, cancel := context.WithTimeout(ctx, TryTime)
	defer cancel()
	if err := process.Wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("it did not come to a result within %v: %w", TryTime, err),
			process.Signal(syscall.SIGKILL))
	}
	return nil
}

// text is what was written into f, as far as it is a few lines.
func text(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 64<<10))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "\ufffd"))
}

// Check is the new program's part of Try.
func Check(in io.Reader, runtimeDir, stateDir string) error {
	if _, err := read(in); err != nil {
		return fmt.Errorf("the descriptors: %w", err)
	}
	return supervise.CheckState(supervise.Options{RuntimeDir: runtimeDir, StateDir: stateDir})
}

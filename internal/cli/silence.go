package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/daemonry/daemonry/internal/server"
	"github.com/daemonry/daemonry/internal/sys"
)

// answerTime is how long a supervisor may take for its first answer to a command. It is asked for what it has in memory.
const answerTime = 4 * time.Second

// silentError says that a supervisor is there and does not answer.
type silentError struct {
	socket, process string
	after           time.Duration
}

func (e *silentError) Error() string {
	return fmt.Sprintf("the supervisor does not answer: %slistens at %s, and has said nothing for %v", e.process, e.socket, e.after)
}

// silence is the error of a supervisor that takes a connection, or lets it wait, and says nothing. One whose program is being replaced
// is waited for, as long as that may take.
func (s *session) silence() error {
	start := time.Now()
	for tries := time.Duration(1); ; tries++ {
		if s.answersWithin(answerTime) {
			return nil // what is wrong otherwise, the command finds when it asks for something
		}
		who, stopped := listener(s.Socket)
		paused := time.Now().Before(server.PausedUntil(s.paths.Runtime)) && time.Since(start) < server.PauseTime
		if stopped || !paused {
			return &silentError{s.Socket, who, tries * answerTime}
		}
	}
}

func (s *session) answersWithin(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_, err := s.Supervisor(ctx)
	return err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// listener says who holds a socket: "process 12, which is stopped, ", or "somebody " where that cannot be seen. To connect is enough
// for it: the kernel takes connections for a process that does not.
func listener(socket string) (who string, stopped bool) {
	conn, err := net.DialTimeout("unix", socket, answerTime/20)
	if err != nil {
		return "somebody ", false
	}
	defer conn.Close()
	peer, err := sys.PeerOf(conn.(*net.UnixConn))
	if err != nil || peer.PID == 0 {
		return "somebody ", false
	}
	if stat, err := sys.ReadStat(peer.PID); err == nil && (stat.State == 'T' || stat.State == 't') {
		return fmt.Sprintf("process %d, which is stopped (SIGCONT continues it), ", peer.PID), true
	}
	return fmt.Sprintf("process %d ", peer.PID), false
}

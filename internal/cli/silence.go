package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// answerTime is how long a supervisor may take for its first answer to a command. It is asked for what it has in memory.
const answerTime = 4 * time.Second

// silentError says that a supervisor is there and does not answer.
type silentError struct{ socket, process string }

func (e *silentError) Error() string {
	return fmt.Sprintf("the supervisor does not answer: %slistens at %s, and has said nothing for %v", e.process, e.socket, answerTime)
}

// silence is the error of a supervisor that takes a connection, or lets it wait, and says nothing.
func (s *session) silence() error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_, err := s.Supervisor(ctx)
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil // what is wrong otherwise, the command finds when it asks for something
	}
	return &silentError{s.Socket, listener(s.Socket)}
}

// listener says who holds a socket: "process 12, which is stopped, ", or "somebody " where that cannot be seen. To connect is enough
// for it: the kernel takes connections for a process that does not.
func listener(socket string) string {
	conn, err := net.DialTimeout("unix", socket, answerTime/20)
	if err != nil {
		return "somebody "
	}
	defer conn.Close()
	peer, err := sys.PeerOf(conn.(*net.UnixConn))
	if err != nil || peer.PID == 0 {
		return "somebody "
	}
	if stat, err := sys.ReadStat(peer.PID); err == nil && (stat.State == 'T' || stat.State == 't') {
		return fmt.Sprintf("process %d, which is stopped (SIGCONT continues it), ", peer.PID)
	}
	return fmt.Sprintf("process %d ", peer.PID)
}

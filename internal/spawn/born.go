package spawn

import (
	"errors"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// Born is what a process finds that was started with Spec.Birth or by StartSuccessor.
type Born struct {
	// Successor says that this process is to take the place of the one who started it
	// (StartSuccessor). What is in Payload and Files is then for Handover to read.
	Successor bool
	Payload   []byte
	Files     []*os.File
	channel   sys.Channel
	tie       *tie // to the watcher; nil for a successor
	crash     crashOutput
}

// born is set at most once, by init, before anything could look.
var born *Born

// Inherited returns what the watcher or the predecessor handed to this process, nil if there was
// none.
func Inherited() *Born { return born }

// Send delivers a message to the parent (Event.Message of its Launch). An error,
// EPIPE above all, means that nobody waits any more: the launch has ended.
func (b *Born) Send(message []byte) error { return sendFrame(b.channel, frameMessage, message) }

// SendLast is Send of the word after which the watcher leaves, and Close. Who goes on after it has
// to Untie before: else the watcher takes it along.
func (b *Born) SendLast(message []byte) error {
	return errors.Join(b.Send(message), b.Close())
}

// SendLastAndWait is SendLast that returns when the watcher has left, so that all that the launcher
// does until then has been done, or after so much time: it may be stopped.
func (b *Born) SendLastAndWait(message []byte, patience time.Duration) error {
	if err := b.Send(message); err != nil {
		return errors.Join(err, b.Close())
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _, _ = b.channel.Recv(make([]byte, 1)) // nothing is sent: it returns at the end
		_ = b.Close()                             // what was sent has arrived
	}()
	select {
	case <-left:
	case <-time.After(patience):
		// Where there is no such call, the goroutine waits on.
		if b.channel.CloseRead() == nil {
			<-left
		}
	}
	return nil
}

// Close ends the channel. The watcher takes no notice of that.
func (b *Born) Close() error { return b.channel.Close() }

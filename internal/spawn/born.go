package spawn

import (
	"errors"
	"os"

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

// Close ends the channel. The watcher takes no notice of that.
func (b *Born) Close() error { return b.channel.Close() }

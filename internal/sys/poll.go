package sys

// Interest is what a Watch looks out for at a descriptor.
type Interest uint8

const (
	// WaitInput: something can be read or accepted. It is told once; then nothing is,
	// until the descriptor is added anew.
	WaitInput Interest = iota
	// WaitDead: the other side is gone or there is an error. It is told once.
	WaitDead
)

// PollEvent says what happened to a descriptor of a Poller.
type PollEvent struct {
	Key    int32 // as given to Add
	Read   bool  // there is something to read
	Hangup bool  // nobody holds the writing end any more; there may still be something to read
}

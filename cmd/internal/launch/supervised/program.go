package supervised

import (
	"context"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// StartProgram starts a program that reads the service's log. Its standard error is ours: were it
// the log, it would read its own complaints.
func (l *Launch) StartProgram(argv spec.Command, stdin *os.File) (int, error) {
	var sp spawn.Spec
	ctx, cancel := context.WithTimeout(context.Background(), programPatience)
	defer cancel()
	if err := l.describeBare(ctx, &sp, argv); err != nil {
		return 0, err
	}
	sp.Files = []spawn.File{{FD: 0, Source: stdin}, {FD: 2, Source: os.Stderr}}
	return l.Spawn(ctx, &sp)
}

// programPatience is how long what its description names may take to be opened.
const programPatience = 10 * time.Second

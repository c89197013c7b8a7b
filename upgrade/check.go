package upgrade

import (
	"context"
	"fmt"

	"github.com/daemonry/daemonry/internal/spawn"
)

// check looks at the file before it is executed, asks the program about it, and waits no longer
// than ctx.
func (u *Upgrader) check(ctx context.Context) error {
	if err := spawn.CheckProgram(ctx, u.program); err != nil {
		return err
	}
	if u.o.Check == nil {
		return nil
	}
	answer := make(chan error, 1)
	go func() { answer <- u.o.Check(ctx, u.program) }()
	select {
	case err := <-answer:
		if err != nil {
			err = fmt.Errorf("refused by Check: %w", err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer of Check: %w", context.Cause(ctx))
	}
}

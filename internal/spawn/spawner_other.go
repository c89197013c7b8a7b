//go:build !unix

package spawn

import "context"

type attempt struct{}

func (sp *Spawner) run() {}

func (sp *Spawner) start(ctx context.Context, d *description) (int, error) {
	return startFromThread(ctx, d)
}

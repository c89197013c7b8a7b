//go:build !unix

package spawn

func (sp *Spawner) run() {}

func (sp *Spawner) start(d *description) (int, error) { return startFromThread(d) }

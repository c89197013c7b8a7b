//go:build !unix

package proctest

import (
	"errors"
	"os/exec"
)

func giveTo(user, dir string) error { return errors.ErrUnsupported }

func commandAs(user, home, test string) (*exec.Cmd, error) { return nil, errors.ErrUnsupported }

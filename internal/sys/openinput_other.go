//go:build !unix

package sys

import "os"

func openInput(string, *Credential) (*os.File, error) { return nil, Unsupported("setfsuid") }

func namedFIFO(*os.File) (bool, error) { return false, nil }

//go:build !unix

package sys

func tidyNotify(string) {}

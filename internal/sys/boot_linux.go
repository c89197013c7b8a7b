package sys

import (
	"fmt"
	"os"
	"strings"
)

func bootID() (string, error) {
	const path = "/proc/sys/kernel/random/boot_id"
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(data))
	if id == "" {
		return "", fmt.Errorf("read %s: it is empty", path)
	}
	return id, nil
}

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/distro-orchestrator/distro"
)

// storeNamePattern is what storeName writes.
var storeNamePattern = regexp.MustCompile(`^[0-9a-f-]{36}$`)

// storeName is the name of the output store in dir, made at its first use. It
// tells orchestrators on one Redis apart, and is the same when one of them
// starts again, which then need not wait until the dead one is given up.
func storeName(dir string) (string, error) {
	path := filepath.Join(dir, "name")
	text, err := os.ReadFile(path)
	if err == nil && storeNamePattern.Match(text) {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the name of the output store: %w", err)
	}
	name := distro.NewID()
	if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
		return "", fmt.Errorf("name the output store: %w", err)
	}
	return name, nil
}

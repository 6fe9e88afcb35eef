package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/store"
)

// explainFull says what to do about an error of opening whose cause is that the
// disk of data_dir is full.
func explainFull(err error, cfg config.Config) error {
	full := errors.Is(err, syscall.ENOSPC) ||
		errors.Is(err, broker.ErrFull) && cfg.RedisURL == "" || errors.Is(err, store.ErrFull) && cfg.PostgreURL == ""
	if !full {
		return err
	}
	return &distro.Error{
		Code: distro.CodeFull, Message: fmt.Sprintf("there is no room left in data_dir %s: free some disk space", cfg.DataDir), Err: err,
	}
}

// enoughRoom is what a few small jobs take.
const enoughRoom = 256 << 10

// findRoom looks for some room in a folder by taking it for a moment. Asking
// the file system instead would know nothing of quotas, nor of what is kept for
// root.
func findRoom(dir string) error {
	path := filepath.Join(dir, "room")
	err := os.WriteFile(path, make([]byte, enoughRoom), 0o600)
	if removed := os.Remove(path); !errors.Is(removed, fs.ErrNotExist) { // another one may have looked too
		err = errors.Join(err, removed)
	}
	if err != nil {
		return fmt.Errorf("find room: %w", err)
	}
	return nil
}

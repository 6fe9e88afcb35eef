package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/distro-orchestrator/distro/internal/python"
)

// privatePrefix begins the names of the folders of workers.
const privatePrefix = "distro-worker-"

// privateDir is a folder of one process, which it removes at its end. The lock
// tells the next worker that the owner of a folder is dead, and tells systemd
// that the folder is in use, however old its files are.
type privateDir struct {
	path string
	lock *os.File
}

// newPrivateDir makes a folder below parent.
func newPrivateDir(parent string) (*privateDir, error) {
	for range 10 {
		path, err := os.MkdirTemp(parent, privatePrefix)
		if err != nil {
			return nil, fmt.Errorf("make a folder for this worker: %w", err)
		}
		dir, err := takePrivateDir(path)
		if dir != nil || err != nil {
			return dir, err
		}
		// A worker that clears up was faster, and took it for a dead one's.
	}
	return nil, fmt.Errorf("make a folder for this worker below %s: others remove it", parent)
}

// takePrivateDir locks a folder; nil: somebody else has it, or removed it.
func takePrivateDir(path string) (*privateDir, error) {
	lock, err := openLock(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	dir := &privateDir{path, lock}
	if tryLock(lock) != nil || !dir.stands() {
		return nil, lock.Close()
	}
	return dir, nil
}

// stands reports whether the lock is that of what is at the path now.
func (d *privateDir) stands() bool {
	locked, err := d.lock.Stat()
	if err != nil {
		return false
	}
	found, err := os.Lstat(d.lock.Name())
	return err == nil && os.SameFile(locked, found)
}

// remove removes the folder, and then lets go of it.
func (d *privateDir) remove() error {
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}

// clearPrivateDirs ends what workers left that were killed: their processes,
// then their folders. What cannot be cleared up stays for the next worker.
func clearPrivateDirs(ctx context.Context, parent string, log *slog.Logger) {
	entries, err := filepath.Glob(filepath.Join(parent, privatePrefix+"*"))
	if err != nil {
		return // the pattern is well formed, whatever parent is: nothing is found
	}
	for _, path := range entries {
		if info, err := os.Lstat(path); err != nil || !info.IsDir() || !ownedByUs(info) {
			continue
		}
		dir, err := takePrivateDir(path)
		if dir == nil || err != nil {
			continue
		}
		if err := errors.Join(python.EndLeftovers(ctx, path), dir.remove()); err != nil {
			log.WarnContext(ctx, "what a killed worker left cannot be cleared up", "folder", path, "reason", err)
			continue
		}
		log.InfoContext(ctx, "cleared up what a killed worker left", "folder", path)
	}
}

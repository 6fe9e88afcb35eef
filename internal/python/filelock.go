package python

import (
	"errors"
	"fmt"
	"os"
)

// errLocked says that another process, or another part of this one, has a lock.
var errLocked = errors.New("somebody else has the lock")

// fileLock is a lock that any number of owners share, or one has alone. The
// system lets go of it when its process dies.
type fileLock struct{ file *os.File }

// lockFile takes the lock of a file, which it makes where there is none. It
// does not wait: where the lock is not free, the error is errLocked.
func lockFile(path string, alone bool) (*fileLock, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		if err := flock(file, alone); err != nil {
			file.Close()
			return nil, err
		}
		// Whoever has a lock alone may remove its file: then this is the lock of
		// a file that nobody else finds any more.
		locked, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("look at lock: %w", err)
		}
		if found, err := os.Lstat(path); err == nil && os.SameFile(locked, found) {
			return &fileLock{file}, nil
		}
		file.Close()
	}
}

func (l *fileLock) unlock() {
	// Closing is not enough where a process that is being started has the file too,
	// until it runs a program of its own.
	letGo(l.file)
	l.file.Close()
}

// remove removes the file of a lock that is held alone, and lets go of it.
// Where the system does not remove open files, it stays.
func (l *fileLock) remove() {
	_ = os.Remove(l.file.Name())
	l.unlock()
}

package app

import (
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// tryLock locks one byte far behind the text, so that others can read it.
func tryLock(file *os.File) error {
	at := windows.Overlapped{OffsetHigh: math.MaxInt32}
	return windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
}

func letGo(file *os.File) error {
	at := windows.Overlapped{OffsetHigh: math.MaxInt32}
	return windows.UnlockFileEx(windows.Handle(file.Fd()), 0, 1, 0, &at)
}

// openLock opens what is locked where a folder belongs to one process. Windows
// locks no folders.
func openLock(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
}

// ownedByUs: a user's folder for temporary files is his own.
func ownedByUs(os.FileInfo) bool { return true }

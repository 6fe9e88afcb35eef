//go:build unix

package app

import (
	"os"
	"syscall"
)

func tryLock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func letGo(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }

// openLock opens what is locked where a folder belongs to one process: the
// folder itself, which systemd's cleaning of temporary files respects.
func openLock(dir string) (*os.File, error) {
	return os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
}

func ownedByUs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

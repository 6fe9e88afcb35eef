//go:build unix

package python

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// flock takes the lock of an open file without waiting.
func flock(file *os.File, alone bool) error {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	err := syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	if err != nil {
		return fmt.Errorf("take lock: %w", err)
	}
	return nil
}

// letGo lets go of the lock of an open file, whoever else has the file open.
func letGo(file *os.File) { _ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }

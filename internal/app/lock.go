package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// dirLock makes this process the one owner of a data directory. The system
// lets go of it when the process dies.
type dirLock struct{ file *os.File }

// lockDir takes the lock, or says who has it.
func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data_dir: %w", err)
	}
	if err := tryLock(file); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(file, 100))
		file.Close()
		return nil, distro.Errorf(distro.CodeConflict,
			"data_dir %s belongs to a running distro (process %s): stop it, or set another data_dir with --data", dir, strings.TrimSpace(string(owner)))
	}
	if err := file.Truncate(0); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock data_dir: %w", err)
	}
	if _, err := fmt.Fprintln(file, os.Getpid()); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock data_dir: %w", err)
	}
	return &dirLock{file}, nil
}

func (l *dirLock) unlock() error {
	// Closing is not enough where a process that is being started has the file too,
	// until it runs a program of its own.
	return errors.Join(letGo(l.file), l.file.Close())
}

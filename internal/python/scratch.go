package python

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// scratch is the folders of one process: TMPDIR and DISTRO_ARTIFACTS of its
// jobs. Temporary files may lie on another file system than the artifacts,
// which are renamed when they are kept.
type scratch struct {
	Tmp       string `json:"tmp"`
	Artifacts string `json:"artifacts"`
}

// scratches hands out folders. Those that come back empty are used again as
// they are: making and removing folders costs more than a short job, the more
// so on a disk that is synced all the time.
type scratches struct {
	tmp     string // parent of the temporary folders
	staging string // parent of the artifacts that are being made

	mu   sync.Mutex
	free []scratch
	made int
}

// maxScratch keeps the names of sockets that jobs make in their TMPDIR within
// the 107 bytes the kernel allows: multiprocessing adds about 40.
const maxScratch = 55

// scratchOf is the parent of the temporary folders: below stateDir, or in the
// system's place for temporary files where that path would be too long.
func scratchOf(stateDir string) string {
	dir := filepath.Join(stateDir, "tmp")
	if len(dir) <= maxScratch {
		return dir
	}
	sum := sha256.Sum256([]byte(stateDir))
	return filepath.Join(os.TempDir(), "distro-"+hex.EncodeToString(sum[:6]))
}

// newScratches makes the parents anew. Where somebody else made one first, it
// fails.
func newScratches(stateDir string) (*scratches, error) {
	s := &scratches{tmp: scratchOf(stateDir), staging: filepath.Join(stateDir, "staging")}
	for _, dir := range []string{s.tmp, s.staging} {
		if err := removeAll(dir); err != nil {
			return nil, fmt.Errorf("remove old temporary files: %w", err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a folder for temporary files: %w", err)
		}
	}
	return s, nil
}

// take returns empty folders. Where they cannot be made, the jobs of the
// process fail to make files, and say so.
func (s *scratches) take() scratch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.free) - 1; last >= 0 {
		folder := s.free[last]
		s.free = s.free[:last]
		return folder
	}
	s.made++
	name := strconv.Itoa(s.made)
	folder := scratch{Tmp: filepath.Join(s.tmp, name), Artifacts: filepath.Join(s.staging, name)}
	_ = os.Mkdir(folder.Tmp, 0o700)
	_ = os.Mkdir(folder.Artifacts, 0o700)
	return folder
}

// put takes folders back whose process is gone.
func (s *scratches) put(folder scratch) {
	if !untouched(folder.Tmp) || !untouched(folder.Artifacts) {
		_ = removeAll(folder.Tmp) // what stays is removed at the next start
		_ = removeAll(folder.Artifacts)
		return
	}
	s.mu.Lock()
	s.free = append(s.free, folder)
	s.mu.Unlock()
}

// untouched reports whether a folder is still the empty one that was made: a
// job may have put a link in its place.
func untouched(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || info.Mode() != fs.ModeDir|0o700 {
		return false
	}
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

func (s *scratches) remove() error { return errors.Join(removeAll(s.tmp), removeAll(s.staging)) }

// removeAll is os.RemoveAll that also removes folders which a job has made
// read-only.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if again := os.RemoveAll(dir); again != nil {
		return errors.Join(again, err)
	}
	return nil
}

package python

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// scratches hands out folders for the temporary files and artifacts of one
// process each. A folder that comes back empty is used again as it is: making
// and removing folders costs more than a short job, the more so on a disk that
// is synced all the time.
type scratches struct {
	dir string

	mu   sync.Mutex
	free []string
	made int
}

// maxScratch keeps the names of sockets that jobs make in their TMPDIR within
// the 107 bytes the kernel allows: multiprocessing adds about 40.
const maxScratch = 50

// scratchOf is the parent of the folders: below stateDir, or in the system's
// place for temporary files where that path would be too long.
func scratchOf(stateDir string) string {
	dir := filepath.Join(stateDir, "tmp")
	if len(dir) <= maxScratch {
		return dir
	}
	sum := sha256.Sum256([]byte(stateDir))
	return filepath.Join(os.TempDir(), "distro-"+hex.EncodeToString(sum[:6]))
}

// newScratches makes the parent anew. Where somebody else made it first, it
// fails.
func newScratches(stateDir string) (*scratches, error) {
	s := &scratches{dir: scratchOf(stateDir)}
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, fmt.Errorf("remove old temporary files: %w", err)
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for temporary files: %w", err)
	}
	return s, nil
}

// parts are the folders in each folder.
func parts(folder string) [2]string {
	return [2]string{filepath.Join(folder, "tmp"), filepath.Join(folder, "artifacts")}
}

// take returns an empty folder. Where it cannot be made, the jobs of its
// process fail to make files, and say so.
func (s *scratches) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.free) - 1; last >= 0 {
		folder := s.free[last]
		s.free = s.free[:last]
		return folder
	}
	s.made++
	folder := filepath.Join(s.dir, strconv.Itoa(s.made))
	for _, part := range parts(folder) {
		_ = os.MkdirAll(part, 0o700)
	}
	return folder
}

// put takes a folder back whose process is gone.
func (s *scratches) put(folder string) {
	for _, part := range parts(folder) {
		if !untouched(part) {
			_ = os.RemoveAll(folder)
			return
		}
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

func (s *scratches) remove() error { return os.RemoveAll(s.dir) }

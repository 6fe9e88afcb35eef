// Package artifact keeps the files that jobs leave behind for people: a folder
// for each attempt, below one for each job. Jobs write these files themselves,
// so a name, a size and a kind are what somebody else chose: nothing outside of a
// job's own folder is ever opened, and nothing but regular files.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is looked at.
const (
	MaxFiles   = 1000    // of a job that are listed
	maxEntries = 100_000 // files and folders of an attempt
	maxDepth   = 32      // folders within folders
	maxName    = 4096    // bytes of a name
)

// ErrNotFound: the job left no such file.
var ErrNotFound = errors.New("no such artifact")

// errEnough ends a walk that needs no more.
var errEnough = errors.New("enough was seen")

// Store is the folder of all artifacts. It holds nothing open, and is safe for
// concurrent use. The folder need not be there yet.
type Store struct {
	dir string
}

// New returns the Store of a folder.
func New(dir string) *Store { return &Store{dir} }

// File is a file that a job left.
type File struct {
	Name    string // with slashes: the attempt's folder, as "2", and the path within it
	Attempt int
	Size    int64
	ModTime time.Time
	Type    string // of a picture that browsers show, by its name and its first bytes; else application/octet-stream
	Image   bool   // it is such a picture
}

// Folder is where an attempt's files belong, relative to the folder of all:
// nothing of a job's ID reaches a path.
func Folder(jobID string, attempt int) string {
	return filepath.Join(key(jobID), strconv.Itoa(attempt))
}

// AfterStop is where the files belong of what ran after an attempt was stopped,
// whose own are in folder.
func AfterStop(folder string) string { return folder + stoppedSuffix }

const stoppedSuffix = "-stopped"

func key(jobID string) string {
	sum := sha256.Sum256([]byte(jobID))
	return hex.EncodeToString(sum[:16])
}

// attemptPattern is the name of a folder that Folder or AfterStop names.
var attemptPattern = regexp.MustCompile(`^([1-9][0-9]{0,8}|0)(-stopped)?$`)

// List returns what a job left, by attempt and name, at most MaxFiles. Links,
// devices, and names that are not UTF-8 are left out.
func (s *Store) List(jobID string) ([]File, error) {
	job, err := s.open(jobID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = job.Close() }()
	var files []File
	w := walk{root: job, take: func(name string, info fs.FileInfo) error {
		if attempt, ok := attemptOf(name); ok && readable(name) {
			files = append(files, File{Name: name, Attempt: attempt, Size: info.Size(), ModTime: info.ModTime().UTC()})
		}
		if len(files) == MaxFiles {
			return errEnough
		}
		return nil
	}}
	if err := w.visit("."); err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("list artifacts of job %q: %w", jobID, err)
	}
	for i := range files {
		f := &files[i]
		if f.Type = typeOf(f.Name, nil); f.Type == plainType {
			continue
		}
		if content, err := openRegular(job, f.Name); err == nil {
			f.describe(content)
			_ = content.Close() // it was read only
		} else {
			f.Type = plainType
		}
	}
	slices.SortFunc(files, func(a, b File) int {
		if a.Attempt != b.Attempt {
			return a.Attempt - b.Attempt
		}
		return strings.Compare(a.Name, b.Name)
	})
	return files, nil
}

// readable reports whether a name can be asked for.
func readable(name string) bool {
	return len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsAny(name, "\\\x00")
}

// Open opens one file of a job by its name, as List has it, or returns
// ErrNotFound.
func (s *Store) Open(jobID, name string) (io.ReadSeekCloser, File, error) {
	attempt, ok := attemptOf(name)
	if !ok || !readable(name) || path.Clean(name) != name || !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, File{}, ErrNotFound
	}
	job, err := s.open(jobID)
	if err != nil {
		return nil, File{}, err
	}
	defer func() { _ = job.Close() }()
	content, err := openRegular(job, name)
	if err != nil {
		return nil, File{}, err
	}
	info, err := content.Stat()
	if err != nil {
		return nil, File{}, errors.Join(fmt.Errorf("look at artifact %q: %w", name, err), content.Close())
	}
	file := File{Name: name, Attempt: attempt, Size: info.Size(), ModTime: info.ModTime().UTC()}
	file.describe(content)
	return content, file, nil
}

// attemptOf is the attempt of a file's name.
func attemptOf(name string) (attempt int, ok bool) {
	folder, _, found := strings.Cut(name, "/")
	m := attemptPattern.FindStringSubmatch(folder)
	if !found || m == nil {
		return 0, false
	}
	attempt, err := strconv.Atoi(m[1])
	return attempt, err == nil
}

// open opens the folder of a job.
func (s *Store) open(jobID string) (*os.Root, error) {
	all, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open folder of artifacts: %w", err)
	}
	defer func() { _ = all.Close() }()
	return openFolder(all, key(jobID))
}

// openFolder opens a folder that is none by a link.
func openFolder(root *os.Root, name string) (*os.Root, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("look at a folder of artifacts: %w", err)
	}
	opened, err := root.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open a folder of artifacts: %w", err)
	}
	return opened, nil
}

// openRegular opens a regular file to which no link leads. Opening never waits:
// what a job puts in its place meanwhile, as a pipe nobody writes to, is refused.
func openRegular(root *os.Root, name string) (*os.File, error) {
	at := ""
	for part := range strings.SplitSeq(name, "/") {
		at = path.Join(at, part)
		info, err := root.Lstat(at)
		switch {
		case err != nil && !errors.Is(err, fs.ErrPermission):
			return nil, ErrNotFound
		case err != nil:
			return nil, fmt.Errorf("look at artifact %q: %w", name, err)
		case at == name && !info.Mode().IsRegular(), at != name && !info.IsDir():
			return nil, ErrNotFound
		}
	}
	file, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open artifact %q: %w", name, err)
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(ErrNotFound, file.Close())
	}
	return file, nil
}

// walk is one pass over a folder. It calls take for every regular file, in the
// order of names, until that returns an error. Links are not followed.
type walk struct {
	root *os.Root
	take func(name string, info fs.FileInfo) error

	seen   int
	hidden bool // there is more, which could not be looked at, or lies too deep
}

// visit goes through a folder. What cannot be looked at is passed over.
func (w *walk) visit(dir string) error {
	folder, err := w.root.Open(dir)
	if err != nil {
		w.hidden = true
		return nil
	}
	defer folder.Close()
	entries, err := folder.ReadDir(maxEntries - w.seen + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		w.hidden = true
	}
	if w.seen += len(entries); w.seen > maxEntries {
		w.hidden = true
		return errEnough
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		var err error
		switch {
		case entry.IsDir() && strings.Count(name, "/") >= maxDepth:
			w.hidden = true
		case entry.IsDir():
			err = w.visit(name)
		case entry.Type().IsRegular():
			if info, gone := entry.Info(); gone == nil {
				err = w.take(name, info)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Delete deletes everything that a job left.
func (s *Store) Delete(jobID string) error {
	if err := removeAll(filepath.Join(s.dir, key(jobID))); err != nil {
		return fmt.Errorf("delete artifacts of job %q: %w", jobID, err)
	}
	return nil
}

// Prune deletes what jobs left that have left nothing since before.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no job has left anything yet
	}
	if err != nil {
		return fmt.Errorf("list artifacts: %w", err)
	}
	var faults []error
	for _, entry := range entries {
		info, err := entry.Info()
		if ctx.Err() != nil || err != nil || info.ModTime().After(before) {
			continue
		}
		if err := removeAll(filepath.Join(s.dir, entry.Name())); err != nil {
			faults = append(faults, fmt.Errorf("delete artifacts: %w", err))
		}
	}
	return errors.Join(faults...)
}

// removeAll is os.RemoveAll that also removes folders which a job has made
// read-only.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700) //nolint:gosec // G302: it is a folder
		}
		return err
	})
	if again := os.RemoveAll(dir); again != nil {
		return errors.Join(again, err)
	}
	return nil
}

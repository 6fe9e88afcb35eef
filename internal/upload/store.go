// Package upload keeps files that people give to jobs: each in a folder of its
// own that only this user may enter, under the name it had as far as that is
// harmless. Names and contents are what somebody else chose. Jobs get the path of
// their file, so a folder may hold something else by the time it is looked at.
package upload

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrNotFound: no such file is kept.
	ErrNotFound = errors.New("no such upload")
	// ErrTooLarge: the content is longer than it may be. Nothing of it is kept.
	ErrTooLarge = errors.New("the upload is too large")
	// ErrFull: there is no room left for it. Nothing of it is kept.
	ErrFull = errors.New("there is no room for the upload")
	// ErrInterrupted: the content could not be read to its end. Nothing of it is
	// kept.
	ErrInterrupted = errors.New("the upload was interrupted")
)

// sameFor is how long a file that comes again under one key is the same file.
const sameFor = 10 * time.Second

const unfinished = "new-" // begins the names of folders whose file is being written

// idPattern is the name of a folder whose file is whole.
var idPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// File is a file that is kept.
type File struct {
	ID   string // cannot be guessed, and says nothing of the file
	Name string
	Path string // absolute
	Size int64
}

// Store is the folder of all uploads. It holds nothing open, and is safe for
// concurrent use.
type Store struct {
	dir string
}

// Open returns the Store of a folder, which need not be there yet and which no
// other process uses. What was being written when an earlier one died is deleted.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder of uploads: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinished) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return nil, fmt.Errorf("delete an unfinished upload: %w", err)
		}
	}
	return &Store{dir}, nil
}

// Save keeps what content holds, at most so many bytes, under a name that
// CleanName makes of name. A file is there whole or not at all, whenever the
// process ends. What comes again within seconds, of the same name, content and
// key, is the file that is there already; an empty key keeps every file apart.
func (s *Store) Save(name, key string, content io.Reader, most int64) (file File, err error) {
	root, err := s.open(true)
	if err != nil {
		return File{}, err
	}
	defer func() { _ = root.Close() }()
	name = CleanName(name)
	fresh := unfinished + random()
	if err := root.Mkdir(fresh, 0o700); err != nil {
		return File{}, fault("make a folder for an upload", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.RemoveAll(fresh))
		}
	}()
	size, sum, err := write(root, fresh+"/"+name, content, most)
	if err != nil {
		return File{}, err
	}
	id := random()
	if key != "" {
		id = derived(key, name, sum)
	}
	if _, taken := root.Lstat(id); taken == nil {
		if file, ok := s.again(root, id, name, size); ok {
			return file, root.RemoveAll(fresh)
		}
		id = random()
	}
	if err := root.Rename(fresh, id); err != nil {
		return File{}, fault("keep an upload", err)
	}
	syncFolder(root)
	return File{ID: id, Name: name, Path: filepath.Join(s.dir, id, name), Size: size}, nil
}

// again is the file of a folder if it came moments ago and still looks the same.
func (s *Store) again(root *os.Root, id, name string, size int64) (File, bool) {
	info, err := root.Lstat(id)
	if err != nil || time.Since(info.ModTime()) > sameFor {
		return File{}, false
	}
	file, err := s.find(root, id)
	return file, err == nil && file.Name == name && file.Size == size
}

// write writes a new file, down to the disk.
func write(root *os.Root, path string, content io.Reader, most int64) (size int64, sum []byte, err error) {
	file, err := root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, nil, fault("make the file of an upload", err)
	}
	hash := sha256.New()
	source := &reading{from: io.LimitReader(content, most+1)}
	size, err = io.Copy(io.MultiWriter(file, hash), source)
	switch {
	case source.err != nil:
		err = fmt.Errorf("read an upload: %w: %w", ErrInterrupted, source.err)
	case err == nil && size > most:
		err = ErrTooLarge
	case err == nil:
		err = fault("store an upload", file.Sync())
	default:
		err = fault("write an upload", err)
	}
	return size, hash.Sum(nil), errors.Join(err, fault("close an upload", file.Close()))
}

// reading remembers why what is read ended early.
type reading struct {
	from io.Reader
	err  error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// fault gives an error what was tried, and ErrFull where the disk is full.
func fault(tried string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w: %w", tried, ErrFull, err)
	}
	return fmt.Errorf("%s: %w", tried, err)
}

// syncFolder brings the new name to the disk where the system can do so.
func syncFolder(root *os.Root) {
	if dir, err := root.Open("."); err == nil {
		_ = dir.Sync() // not every system syncs folders; the file itself is synced
		_ = dir.Close()
	}
}

func random() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	return hex.EncodeToString(id)
}

// derived is the ID of what comes under a key.
func derived(key, name string, sum []byte) string {
	whole := sha256.Sum256(fmt.Appendf(nil, "%q %q %x", key, name, sum))
	return hex.EncodeToString(whole[:16])
}

// Find returns a file by its ID, or ErrNotFound. Nothing but a regular file that
// lies alone in its folder is one.
func (s *Store) Find(id string) (File, error) {
	if !idPattern.MatchString(id) {
		return File{}, ErrNotFound
	}
	root, err := s.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, ErrNotFound
	}
	if err != nil {
		return File{}, err
	}
	defer func() { _ = root.Close() }()
	return s.find(root, id)
}

func (s *Store) find(root *os.Root, id string) (File, error) {
	info, err := root.Lstat(id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return File{}, ErrNotFound
	}
	if err != nil {
		return File{}, fmt.Errorf("look at an upload: %w", err)
	}
	dir, err := root.Open(id)
	if err != nil {
		return File{}, fmt.Errorf("open the folder of an upload: %w", err)
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return File{}, fmt.Errorf("list the folder of an upload: %w", err)
	}
	if len(entries) != 1 || !entries[0].Type().IsRegular() || CleanName(entries[0].Name()) != entries[0].Name() {
		return File{}, ErrNotFound
	}
	info, err = entries[0].Info()
	if err != nil {
		return File{}, ErrNotFound
	}
	return File{ID: id, Name: info.Name(), Path: filepath.Join(s.dir, id, info.Name()), Size: info.Size()}, nil
}

// open opens the folder of all, which is none by a link.
func (s *Store) open(create bool) (*os.Root, error) {
	if create {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, fault("make the folder of uploads", err)
		}
	}
	if info, err := os.Lstat(s.dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open the folder of uploads: %s is no folder", s.dir)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of uploads: %w", err)
	}
	return root, nil
}

// Prune deletes the files that came, and that nobody changed anything about, since
// before. Links are deleted, never followed.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	root, err := s.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing has come yet
	}
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("list uploads: %w", err)
	}
	var faults []error
	for _, entry := range entries {
		info, err := entry.Info()
		if ctx.Err() != nil || err != nil || strings.HasPrefix(entry.Name(), unfinished) || info.ModTime().After(before) {
			continue
		}
		if err := removeAll(root, entry.Name()); err != nil {
			faults = append(faults, fmt.Errorf("delete an upload: %w", err))
		}
	}
	return errors.Join(faults...)
}

// removeAll removes a folder, also one that a job has made read-only, with such
// folders in it.
func removeAll(root *os.Root, name string) error {
	if root.RemoveAll(name) == nil {
		return nil
	}
	err := fs.WalkDir(root.FS(), name, func(path string, entry fs.DirEntry, err error) error {
		if entry == nil || !entry.IsDir() {
			return err
		}
		return root.Chmod(path, 0o700)
	})
	if again := root.RemoveAll(name); again != nil {
		return errors.Join(again, err)
	}
	return nil
}

package output

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	fileSuffix = ".log"
	tailSuffix = ".tail"
)

// keyOf hashes a job's ID, which may hold anything, into a file name.
func keyOf(jobID string) string {
	sum := sha256.Sum256([]byte(jobID))
	return hex.EncodeToString(sum[:])
}

// place is where the files of one job are.
type place struct {
	key  string
	head string // file of the first lines
	tail string // folder of the segments behind the head, where there are any
}

func (s *Store) place(key string) place {
	base := filepath.Join(s.dir, key[:2], key[2:])
	return place{key, base + fileSuffix, base + tailSuffix}
}

// segment is one file of a job's output; number 0 is the head.
type segment struct {
	number int
	first  mark  // its first line
	size   int64 // bytes of whole lines that have ended
}

func (p place) path(number int) string {
	if number == 0 {
		return p.head
	}
	return filepath.Join(p.tail, fmt.Sprintf("%08d%s", number, fileSuffix))
}

// numbers lists the segments that exist, in order.
func (p place) numbers() ([]int, error) {
	var numbers []int
	if _, err := os.Stat(p.head); err == nil {
		numbers = append(numbers, 0)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := os.ReadDir(p.tail) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), fileSuffix))
		if err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// create opens the file of a segment for writing, and makes it and its
// folders where they are missing.
func (p place) create(number int) (*os.File, error) {
	path := p.path(number)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// remove deletes all files of the job and returns how many bytes they had.
func (p place) remove() (int64, error) {
	bytes, _, err := p.measure()
	if err != nil {
		return 0, err
	}
	if err := os.RemoveAll(p.tail); err != nil {
		return 0, err
	}
	if err := os.Remove(p.head); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return bytes, nil
}

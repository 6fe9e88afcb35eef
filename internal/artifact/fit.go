package artifact

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Dropped says what Fit deleted.
type Dropped struct {
	Files int
	Bytes int64
	All   bool // everything: there were too many files to look at, or such that cannot be looked at
}

// Fit deletes files of an attempt's folder until the rest takes at most limit
// bytes: the largest first, so that as many as can be stay. It is called when the
// attempt has ended.
func (s *Store) Fit(folder string, limit int64) (Dropped, error) {
	var dropped Dropped
	name := folder
	folder = filepath.Join(s.dir, name)
	root, err := os.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return dropped, nil
	}
	if err != nil {
		return dropped, fmt.Errorf("open artifacts %q: %w", name, err)
	}
	defer func() { _ = root.Close() }()
	type file struct {
		name string
		size int64
	}
	var files []file
	var total int64
	w := walk{root: root, take: func(name string, info fs.FileInfo) error {
		files, total = append(files, file{name, info.Size()}), total+info.Size()
		return nil
	}}
	if err := w.visit("."); w.hidden {
		if err := removeAll(folder); err != nil {
			return dropped, fmt.Errorf("delete artifacts %q: %w", name, err)
		}
		return Dropped{All: true}, nil
	} else if err != nil {
		return dropped, fmt.Errorf("measure artifacts %q: %w", name, err)
	}
	if total <= limit {
		return dropped, nil
	}
	slices.SortStableFunc(files, func(a, b file) int { return cmp.Compare(b.size, a.size) })
	for _, f := range files {
		if total <= limit {
			break
		}
		if err := root.Remove(filepath.FromSlash(f.name)); err != nil {
			return dropped, fmt.Errorf("delete one of the artifacts %q: %w", name, err)
		}
		total -= f.size
		dropped.Files, dropped.Bytes = dropped.Files+1, dropped.Bytes+f.size
	}
	return dropped, nil
}

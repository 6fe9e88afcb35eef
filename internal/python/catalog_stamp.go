package python

import (
	"io/fs"
	"os"
	"time"
)

// A file that was written this shortly before it was read may have been
// written again in the same tick of the file system's clock. Such a tick lasts
// up to 10 ms, but up to 2 s where times have no fraction.
const (
	tick       = 100 * time.Millisecond
	coarseTick = 2 * time.Second
)

// stamp tells without reading whether a file changed.
type stamp struct {
	info fs.FileInfo
	racy bool // equal stamps prove nothing: see tick
}

// newStamp takes the stamp of a file that was read at the moment read or later.
func newStamp(info fs.FileInfo, read time.Time) stamp {
	written, wait := changeTime(info), tick
	if written.Nanosecond() == 0 {
		wait = coarseTick
	}
	return stamp{info: info, racy: read.Sub(written) < wait}
}

// equals compares by modification and change time, size and inode.
func (s stamp) equals(info fs.FileInfo) bool {
	return s.info.ModTime().Equal(info.ModTime()) && changeTime(s.info).Equal(changeTime(info)) &&
		s.info.Size() == info.Size() && os.SameFile(s.info, info)
}

package python

import (
	"io/fs"
	"syscall"
	"time"
)

// changeTime is the inode's change time: nobody can set it back, as tools that
// copy files do with the modification time.
func changeTime(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(int64(stat.Ctim.Sec), int64(stat.Ctim.Nsec))
	}
	return info.ModTime()
}

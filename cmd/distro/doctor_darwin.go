package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func readDisk(dir string) (disk, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return disk{}, fmt.Errorf("read the file system of %s: %w", dir, err)
	}
	d := disk{known: true, free: int64(stat.Bavail) * int64(stat.Bsize)}
	switch kind := unix.ByteSliceToString(stat.Fstypename[:]); kind {
	case "nfs", "smbfs", "webdav", "afpfs":
		d.trouble = "this is a network file system (" + kind + "), on which databases break: set data_dir to a local disk"
	}
	return d, nil
}

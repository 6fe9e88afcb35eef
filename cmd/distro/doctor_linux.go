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
	switch uint32(stat.Type) { // the field's size depends on the architecture
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC:
		d.trouble = "this is a network file system, on which databases break: set data_dir to a local disk"
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		d.trouble = "this file system is memory, which a restart of the machine empties: set data_dir to a disk"
	}
	return d, nil
}

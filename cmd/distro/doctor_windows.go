package main

import (
	"fmt"

	"golang.org/x/sys/windows"
)

func readDisk(dir string) (disk, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return disk{}, fmt.Errorf("read the file system of %s: %w", dir, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return disk{}, fmt.Errorf("read the file system of %s: %w", dir, err)
	}
	return disk{known: true, free: int64(min(free, 1<<62))}, nil
}

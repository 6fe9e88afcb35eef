//go:build !linux

package python

import "time"

// memoryEvery is how often a job with a memory limit is weighed.
const memoryEvery = time.Hour

// residentTree is 0: the memory limit is kept on Linux only.
func residentTree(int) int64 { return 0 }

package python

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// EndLeftovers kills the processes that an earlier owner of stateDir left
// running, and returns when none is left: a zygote, its jobs, and what those
// have started. They are known by the environment they were started with. The
// caller owns stateDir, so none of them belongs to a living owner.
func EndLeftovers(ctx context.Context, stateDir string) error {
	var marks [][]byte
	for _, dir := range append(generationsOf(stateDir), stateDir) {
		marks = append(marks, []byte(runMark+"="+dir+"\x00"), []byte("TMPDIR="+scratchOf(dir)+"/"))
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		left, err := marked(marks)
		if err != nil {
			return fmt.Errorf("look for processes of an earlier run: %w", err)
		}
		if len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // where it was handed to this process as an orphan
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v of an earlier run do not end: %w", left, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// marked lists the processes whose initial environment has one of the marks.
func marked(marks [][]byte) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err != nil {
			continue // it is gone, or somebody else's
		}
		for _, mark := range marks {
			if bytes.HasPrefix(environ, mark) || bytes.Contains(environ, append([]byte{0}, mark...)) {
				found = append(found, pid)
				break
			}
		}
	}
	return found, nil
}

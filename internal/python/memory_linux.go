package python

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// memoryEvery is how often a job with a memory limit is weighed.
const memoryEvery = 100 * time.Millisecond

// residentTree is the resident memory of a process and its descendants in
// bytes. Pages shared between them count for each.
func residentTree(pid int) int64 {
	var total int64
	todo := []int{pid}
	for len(todo) > 0 && len(todo) < 10_000 {
		pid, todo = todo[0], todo[1:]
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		if fields := bytes.Fields(data); len(fields) > 2 {
			resident, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			total += resident * int64(os.Getpagesize())
		}
		todo = append(todo, childrenOf(pid)...)
	}
	return total
}

func childrenOf(pid int) []int {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	var children []int
	for _, task := range tasks {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for _, field := range bytes.Fields(data) {
			if child, err := strconv.Atoi(string(field)); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

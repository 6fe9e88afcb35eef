package redistest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// attributes put a process into a session of its own, and end it with us.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// killSession kills what a process started and what has not left its session:
// the work horses of RQ leave their worker's group, not its session.
func killSession(pid int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// After the name, in parentheses: state, parent, group, session.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 3 && string(fields[3]) == strconv.Itoa(pid) {
			if member, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && member != pid {
				_ = syscall.Kill(member, syscall.SIGKILL) // it may have ended
			}
		}
	}
}

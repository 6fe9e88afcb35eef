//go:build unix && !linux

package python

import (
	"os/exec"
	"syscall"
)

// startTool starts cmd as the leader of a process group. Where this process is
// killed, cmd runs on to its end.
func startTool(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &group{cmd.Process.Pid}, nil
}

// syncDisk writes everything to disk that the system holds back.
func syncDisk(string) error { return syscall.Sync() }

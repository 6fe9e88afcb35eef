package python

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// startTool starts cmd in a job object, which ends it with this process.
func startTool(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW}
	g, err := newGroup()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		g.end()
		return nil, err
	}
	if err := g.add(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		g.end()
		return nil, err
	}
	return g, nil
}

// syncDisk does nothing: Windows has no way to sync a file system that a user
// may take.
func syncDisk(string) error { return nil }

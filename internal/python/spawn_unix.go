//go:build unix && !linux

package python

import (
	"io"
	"os"
	"os/exec"
	"syscall"
)

// startInGroup starts cmd as the leader of a process group, with one end of a socket
// pair as descriptor 3; args completes its arguments. What
// leaves the group survives the job on these systems.
func startInGroup(cmd *exec.Cmd, args func(channel string)) (*group, io.ReadWriteCloser, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	theirs := os.NewFile(uintptr(fds[1]), "channel")
	defer theirs.Close()
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		syscall.Close(fds[0])
		return nil, nil, err
	}
	ours := os.NewFile(uintptr(fds[0]), "channel")
	args("3")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, nil, err
	}
	return &group{cmd.Process.Pid}, ours, nil
}

func signalOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}

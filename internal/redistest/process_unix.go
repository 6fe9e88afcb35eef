//go:build unix && !linux

package redistest

import "syscall"

// attributes put a process into a session of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// killSession kills the group that the process leads: there is no portable
// list of a session's processes.
func killSession(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

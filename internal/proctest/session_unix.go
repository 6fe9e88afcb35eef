//go:build unix && !linux

package proctest

import "syscall"

func inOwnSession(attributes *syscall.SysProcAttr) { attributes.Setsid = true }

// SignalAll signals the group that the process leads: there is no portable list
// of a session's processes.
func (p *Process) SignalAll(sig syscall.Signal) { _ = syscall.Kill(-p.Pid(), sig) }

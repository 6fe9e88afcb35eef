package proctest

import "syscall"

func inOwnSession(*syscall.SysProcAttr) {}

// SignalAll signals the process alone: there are no sessions.
func (p *Process) SignalAll(sig syscall.Signal) { p.Signal(sig) }

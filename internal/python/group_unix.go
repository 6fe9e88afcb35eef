//go:build unix

package python

import (
	"errors"
	"syscall"
)

// group is the process group that a process leads.
type group struct{ pid int }

func (g *group) signal(sig syscall.Signal) { _ = syscall.Kill(-g.pid, sig) }

// end kills what is left of the group.
func (g *group) end() {
	for !errors.Is(syscall.Kill(-g.pid, syscall.SIGKILL), syscall.ESRCH) {
		if _, err := syscall.Wait4(-g.pid, nil, 0, nil); err != nil {
			return
		}
	}
}

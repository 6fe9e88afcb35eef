//go:build unix && !linux

package pgtest

import "syscall"

// attributes put a process into a session of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// children is empty: there is no portable list of a process's children.
func children(int) []int { return nil }

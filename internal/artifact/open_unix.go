//go:build unix

package artifact

import "syscall"

// nonblock lets opening a named pipe not wait for its writer.
const nonblock = syscall.O_NONBLOCK

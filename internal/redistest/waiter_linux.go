package redistest

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// waiter waits to within some microseconds: a timer of the runtime wakes an idle
// program up to a millisecond late, as much as the delay itself.
type waiter struct {
	fd    int // of timer: File.Fd would make it block a thread
	timer *os.File
}

func newWaiter() (waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return waiter{}, fmt.Errorf("make timer: %w", err)
	}
	return waiter{fd, os.NewFile(uintptr(fd), "timer")}, nil
}

func (w waiter) until(due time.Time) {
	d := time.Until(due)
	if d <= 0 {
		return
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	if err := unix.TimerfdSettime(w.fd, 0, &spec, nil); err == nil {
		var ticks [8]byte
		_, _ = w.timer.Read(ticks[:]) // it is due then
	}
}

func (w waiter) close() { _ = w.timer.Close() }

//go:build !linux

package redistest

import "time"

// waiter waits.
type waiter struct{}

func newWaiter() (waiter, error) { return waiter{}, nil }

func (waiter) until(due time.Time) {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	<-timer.C
}

func (waiter) close() {}

package brokertest

import (
	"sync"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
)

var _ broker.Clock = (*Clock)(nil)

// Clock is a broker.Clock that moves when a test says so.
type Clock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

// NewClock returns a clock that stands at a fixed moment.
func NewClock() *Clock {
	return &Clock{wall: time.Date(2026, 10, 5, 8, 30, 0, 0, time.UTC), mono: time.Hour}
}

// Now implements broker.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// Monotonic implements broker.Clock.
func (c *Clock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mono
}

// Advance lets time pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
	c.mono += d
}

// Step sets the wall clock, by d, as an operator or NTP does.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

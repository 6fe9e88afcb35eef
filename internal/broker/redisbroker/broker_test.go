package redisbroker_test

import (
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// feedKeep is smaller than users have it, so that tests reach it.
const feedKeep = 1000

// harness makes brokers in databases of their own.
func harness() brokertest.Harness {
	return brokertest.Harness{
		Open: func(t brokertest.TB, clock broker.Clock) broker.Broker {
			return open(t, redisbroker.Options{URL: server.DB(t), Clock: clock})
		},
		FeedKeep: feedKeep,
		Grain:    time.Second,
	}
}

// open returns a broker that schedules for every queue of the suite.
func open(t brokertest.TB, opts redisbroker.Options) *redisbroker.Broker {
	t.Helper()
	opts.FeedKeep, opts.Feed = feedKeep, true
	opts.Timeout = 20 * time.Second // many tests share one server
	opts.Schedule = []string{"default", "high", "low", "other", "zoo", "a", "q", "r", "none"}
	b, err := redisbroker.Open(t.Context(), opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	})
	return b
}

func TestTheBrokerKeepsTheContract(t *testing.T) {
	t.Parallel()
	harness().Run(t)
}

func TestTheBrokerAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	harness().RunModel(t)
}

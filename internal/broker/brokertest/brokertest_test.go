package brokertest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The model is what all brokers are compared with, so it must keep the
// contract itself.
func TestTheModelKeepsTheContract(t *testing.T) {
	t.Parallel()
	const keep = 700
	brokertest.Harness{
		FeedKeep: keep,
		Open: func(_ brokertest.TB, clock broker.Clock) broker.Broker {
			return brokertest.NewModel(clock, keep)
		},
	}.Run(t)
}

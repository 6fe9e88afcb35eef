package brokertest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keep is the number of feed entries that are kept.
const keep = 700

// The model is what all brokers are compared with, so it must keep the
// contract itself.
func TestTheModelKeepsTheContract(t *testing.T) {
	t.Parallel()
	brokertest.Harness{
		FeedKeep: keep,
		Open: func(_ brokertest.TB, clock broker.Clock) broker.Broker {
			return brokertest.NewModel(clock, keep)
		},
	}.Run(t)
}

func TestTheSuiteAllowsForBrokersThatKeepWholeSeconds(t *testing.T) {
	t.Parallel()
	brokertest.Harness{
		FeedKeep: keep, Grain: time.Second,
		Open: func(_ brokertest.TB, clock broker.Clock) broker.Broker {
			return coarse{brokertest.NewModel(clock, keep)}
		},
	}.Run(t)
}

// coarse lets jobs be due at whole seconds only.
type coarse struct{ broker.Broker }

func (c coarse) Enqueue(ctx context.Context, jobs []distro.Job) ([]broker.EnqueueResult, error) {
	jobs = slices.Clone(jobs)
	for i := range jobs {
		if whole := jobs[i].DueAt.Truncate(time.Second); whole.Before(jobs[i].DueAt) {
			jobs[i].DueAt = whole.Add(time.Second)
		}
	}
	return c.Broker.Enqueue(ctx, jobs)
}

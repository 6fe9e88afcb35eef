// Package shipping brings what jobs print from workers on other hosts into the
// output store of an orchestrator, through the queue.
//
// A Shipper, beside a worker, keeps the output of each attempt in a spool, which
// is an output store of its own, and sends it in fragments. A Mover, beside an
// orchestrator, appends them to the job's output. Every line is known by its
// number within the attempt's output, and the store knows how far it has each
// attempt, so either side may repeat what it is not sure of.
package shipping

import (
	"context"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
)

// Outbox is the queue as a worker needs it.
type Outbox interface {
	// OutputWanted reports whether somebody has read output lately.
	OutputWanted(ctx context.Context) (bool, error)
	// ShipOutput sends chunks in their order and says what became of each.
	ShipOutput(ctx context.Context, chunks []output.Chunk) ([]output.Shipped, error)
}

// Inbox is the queue as an orchestrator needs it.
type Inbox interface {
	// HoldOutput says that output is read, and asks whether the store of this
	// name is the one that it goes to.
	HoldOutput(ctx context.Context, store string) (bool, error)
	// ReleaseOutput lets another store have its turn.
	ReleaseOutput(ctx context.Context, store string) error
	// ReceiveOutput returns chunks in the order of their arrival, behind the
	// one of an ID if it is not empty. It waits a little while there are none.
	ReceiveOutput(ctx context.Context, after string) ([]output.Arrival, error)
	// StoredOutput forgets chunks; the others come again.
	StoredOutput(ctx context.Context, arrived []output.Arrival) error
}

// Jobs tells what became of jobs: broker.Broker.
type Jobs interface {
	Get(ctx context.Context, ids []string) ([]distro.Job, error)
}

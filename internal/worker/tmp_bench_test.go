package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/python"
)

func TestTmpThroughput(t *testing.T) {
	b := setup(t, python.Pool, 2)
	if err := b.queue.SetPaused(t.Context(), "default", true); err != nil { t.Fatal(err) }
	var js []distro.Job
	const n = 10000
	for i := range n {
		js = append(js, call(fmt.Sprintf("j%d", i), "quick", ""))
	}
	b.enqueueAll(js...)
	b.flaky.trace = func(req *broker.ExchangeRequest, reply *broker.ExchangeReply, took time.Duration) {
		if b.flaky.calls.Add(1)%50 == 0 {
			fmt.Println("settle", len(req.Settle), "begin", len(req.Begin), "return", len(req.Return), "want", len(req.Want.Tokens), req.Want.Begun, "claims", len(reply.Claims), took)
		}
	}
	start := time.Now()
	b.queue.SetPaused(t.Context(), "default", false)
	b.reach(fmt.Sprintf("j%d", n-1), distro.StatusFinished)
	fmt.Println(float64(n)/time.Since(start).Seconds(), "jobs/s", b.flaky.calls.Load())
	_ = context.Background
}

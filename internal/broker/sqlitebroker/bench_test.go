package sqlitebroker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
)

func benchBroker(b *testing.B) *sqlitebroker.Broker {
	b.Helper()
	br, err := sqlitebroker.Open(b.Context(), sqlitebroker.Options{Path: filepath.Join(b.TempDir(), "queue.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := br.Close(); err != nil {
			b.Error(err)
		}
	})
	return br
}

func benchJob(id, function string) distro.Job {
	return distro.Job{
		ID: id, Queue: "default", Function: function, Fingerprint: "0123456789abcdef0123456789abcdef",
		Payload:   distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["report.build", null, [], {"month": "2026-10"}]`)},
		ResultTTL: distro.Forever, FailureTTL: distro.Forever,
	}
}

// fill enqueues n jobs of so many functions.
func fill(b *testing.B, br broker.Broker, n, functions int) {
	b.Helper()
	jobs := make([]distro.Job, 0, broker.MaxEnqueue)
	for i := range n {
		jobs = append(jobs, benchJob(distro.NewID(), fmt.Sprintf("module%d.run", i%functions)))
		if len(jobs) == cap(jobs) || i == n-1 {
			if _, err := br.Enqueue(b.Context(), jobs); err != nil {
				b.Fatal(err)
			}
			jobs = jobs[:0]
		}
	}
}

func reportJobs(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkSync is what the machine allows: one page appended and synced.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnqueue enqueues one job per call from 16 goroutines.
func BenchmarkEnqueue(b *testing.B) {
	br := benchBroker(b)
	b.SetParallelism(8) // times GOMAXPROCS, 2 where the goals were set
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := br.Enqueue(b.Context(), []distro.Job{benchJob(distro.NewID(), "report.build")}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	reportJobs(b, b.N)
}

// BenchmarkExchange settles 32 jobs and claims 32 in each call, from a number
// of workers at once. One operation is one job.
func BenchmarkExchange(b *testing.B) {
	for _, c := range [][2]int{{1, 1}, {4, 1}, {4, 20}} {
		workers, functions := c[0], c[1]
		b.Run(fmt.Sprintf("%dworkers,%dfunctions", workers, functions), func(b *testing.B) {
			br := benchBroker(b)
			fill(b, br, b.N, functions)
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			errs := make(chan error)
			for i := range workers {
				go func() { errs <- exchangeAll(b.Context(), br, fmt.Sprint("w", i), &left) }()
			}
			for range workers {
				if err := <-errs; err != nil {
					b.Fatal(err)
				}
			}
			reportJobs(b, b.N)
		})
	}
}

func exchangeAll(ctx context.Context, br broker.Broker, name string, left *atomic.Int64) error {
	req := broker.ExchangeRequest{Worker: distro.Worker{Name: name}}
	for left.Load() > 0 {
		req.Beat++
		req.Want = broker.Want{Queues: []string{"default"}, Begun: broker.MaxExchange}
		for i := range broker.MaxExchange {
			req.Want.Tokens = append(req.Want.Tokens, fmt.Sprintf("%s-%020d-%06d", name, req.Beat, i))
		}
		reply, err := br.Exchange(ctx, req)
		if err != nil {
			return err
		}
		left.Add(-int64(len(reply.Settled)))
		req.Settle = nil
		for _, c := range reply.Claims {
			req.Settle = append(req.Settle, broker.Settlement{
				Claim: broker.Claim{JobID: c.Job.ID, Token: c.Token},
				Result: distro.Result{
					Outcome: distro.OutcomeFinished, Pickle: []byte{0x80, 4, 'N', '.'}, View: distro.View{Text: "null", JSON: true},
				},
			})
		}
	}
	return nil
}

// BenchmarkMillion lists, counts and claims where 1,000,000 jobs wait, and
// prints the peak memory of the process.
func BenchmarkMillion(b *testing.B) {
	br := benchBroker(b)
	fill(b, br, 1_000_000, 20)
	for name, q := range map[string]broker.ListQuery{
		"no filter": {}, "queue": {Queue: "default"}, "status": {Status: distro.StatusQueued}, "function": {Function: "module3.run"},
		"none match": {Status: distro.StatusFailed}, "all filters": {Queue: "default", Status: distro.StatusQueued, Function: "module3.run"},
		"500 of queue": {Queue: "default", Limit: broker.MaxPage},
	} {
		b.Run("List/"+name, func(b *testing.B) {
			for b.Loop() {
				page, err := br.List(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				if page.Next != "" { // also from the middle
					q.Cursor = page.Next
				}
			}
		})
	}
	for name, offset := range map[string]int{"first": 0, "quarter": 250_000, "middle": 500_000, "last": 1_000_000 - 8} {
		for _, backward := range []bool{false, true} {
			b.Run(fmt.Sprintf("Places/%s/%t", name, backward), func(b *testing.B) {
				for b.Loop() {
					page, err := br.Places(b.Context(), broker.PlaceQuery{
						Queue: "default", Status: distro.StatusQueued, Offset: offset, Limit: 8, Backward: backward,
					})
					if err != nil || len(page.Places) != 8 || page.Total != 1_000_000 {
						b.Fatal(len(page.Places), page.Total, err)
					}
				}
			})
		}
	}
	b.Run("Counts", func(b *testing.B) {
		for b.Loop() {
			if _, err := br.Counts(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Exchange", func(b *testing.B) {
		var left atomic.Int64
		left.Store(int64(b.N))
		if err := exchangeAll(b.Context(), br, "w", &left); err != nil {
			b.Fatal(err)
		}
		reportJobs(b, b.N)
	})
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmHWM") {
				b.Log(strings.TrimSpace(line))
			}
		}
	}
}

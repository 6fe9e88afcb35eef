package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/redistest"
	"github.com/distro-orchestrator/distro/internal/service"
)

// fillRedis writes queued and failed jobs as stock RQ does.
func fillRedis(b *testing.B, c *redistest.Conn, queued, failed int) {
	b.Helper()
	const step, script = 5000, `
local data = '\x80\x04N.'
for i = ARGV[1] * 1, ARGV[1] + ARGV[2] - 1 do
	local id = string.format('%s%035d', string.sub(ARGV[3], 1, 1), i)
	redis.call('HSET', 'rq:job:' .. id, 'data', data, 'origin', ARGV[4], 'status', ARGV[3], 'description', 'm.f()',
		'created_at', '2026-10-05T08:30:00.000000Z', 'enqueued_at', '2026-10-05T08:30:00.000000Z', 'timeout', '180')
	if ARGV[3] == 'queued' then
		redis.call('RPUSH', 'rq:queue:' .. ARGV[4], id)
	else
		redis.call('ZADD', 'rq:failed:' .. ARGV[4], 2e9 + i, id)
		redis.call('XADD', 'rq:results:' .. id, '*', 'type', '2', 'exc_string', ARGV[5])
	end
end`
	c.Do("SADD", "rq:queues", "rq:queue:default", "rq:queue:high")
	for _, part := range []struct {
		status, queue string
		n             int
	}{{"queued", "default", queued}, {"failed", "high", failed}} {
		for i := 0; i < part.n; i += step {
			if err, wrong := c.Do("EVAL", script, "0", strconv.Itoa(i), strconv.Itoa(step), part.status, part.queue, "eJxzSSxJVEjLL8pNLFHILFbISi0qzs/TUSgoyi9LLUrMUcjMLUjNLQAA").(redistest.Error); wrong {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRQDashboard asks for pages of a million queued jobs, and has 100,000
// failed ones requeued and all of them deleted. It reports how long the clicks
// and the work took, and the longest command of Redis.
func BenchmarkRQDashboard(b *testing.B) {
	const queued, failed = 1_000_000, 100_000
	server := redistest.Start(b, redistest.Options{})
	fillRedis(b, server.Conn(b, server.URL()), queued, failed)
	queue, err := redisbroker.Open(b.Context(), redisbroker.Options{URL: server.URL(), Clock: broker.SystemClock(), Quiet: true})
	if err != nil {
		b.Fatal(err)
	}
	defer queue.Close()
	s, err := service.New(service.Options{Broker: queue})
	if err != nil {
		b.Fatal(err)
	}
	pages, err := dashboard.New(dashboard.Options{
		Service: s, Guard: guard.New(guard.Options{Listen: "127.0.0.1:9181"}),
		Assets: fstest.MapFS{"style.css": {Data: []byte("body{}")}, "icons.svg": {Data: []byte("<svg></svg>")}},
	})
	if err != nil {
		b.Fatal(err)
	}
	ask := func(method, address string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(b.Context(), method, address, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		if pages.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatalf("%s %s: %d\n%s", method, address, w.Code, w.Body)
		}
		return w
	}
	server.Do(b, "CONFIG", "SET", "slowlog-log-slower-than", "2000")
	server.Do(b, "CONFIG", "SET", "slowlog-max-len", "100000")
	server.Do(b, "SLOWLOG", "RESET")
	for name, address := range map[string]string{
		"queues": "/0/data/queues.json", "first": "/0/data/jobs/default/queued/8/asc/1.json", "last": "/0/data/jobs/default/queued/8/asc/125000.json",
		"middle": "/0/data/jobs/default/queued/8/dsc/60000.json", "failed": "/0/data/jobs/high/failed/8/asc/12500.json",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ask(http.MethodGet, address)
			}
		})
	}
	for _, tt := range []struct{ name, address string }{
		{"requeue 100000", "/requeue/high"}, {"empty 1000000", "/queue/default/queued/empty"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				began := time.Now()
				var answer struct{ Operation string }
				if err := json.Unmarshal(ask(http.MethodPost, tt.address).Body.Bytes(), &answer); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-click")
				carryOutAll(b, s, answer.Operation)
				b.ReportMetric(time.Since(began).Seconds(), "s-done")
			}
		})
	}
	b.Run("longest command", func(b *testing.B) {
		var longest time.Duration
		var what string
		for b.Loop() {
			for _, call := range server.Slowlog(b) {
				if call.Took > longest {
					longest, what = call.Took, fmt.Sprintf("%.100q", call.Args)
				}
			}
		}
		b.ReportMetric(longest.Seconds()*1000, "ms")
		b.Log(what)
	})
}

// carryOutAll runs operations until one has ended.
func carryOutAll(b *testing.B, s *service.Service, id string) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.RunOperations(ctx) }()
	sub, err := service.Subscribe([]string{service.TopicOperations})
	if err != nil {
		b.Fatal(err)
	}
	var ended service.Operation
	_ = s.Follow(ctx, sub, "", time.Hour, func(u service.Update) error {
		for _, o := range u.Operations {
			if o.ID == id && !o.EndedAt.IsZero() {
				ended = o
				cancel()
			}
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil || ended.State != "done" {
		b.Fatal(ended, err)
	}
	b.ReportMetric(float64(ended.Done), "jobs")
}

package e2e_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// crowd is a Redis on which much stands, and a server beside it.
type crowd struct {
	*server

	b     *testing.B
	redis *redistest.Server
}

const (
	crowdQueued  = 1_000_000 // in the queue default, of nfse.baixar
	crowdFailed  = 100_000   // in the queue high, of fiscal.emitir
	crowdWorkers = 50
	crowdClients = 1000 // whose names are arguments
)

// newCrowd writes jobs and workers as stock RQ does.
func newCrowd(b *testing.B) *crowd {
	b.Helper()
	redis := redistest.Start(b, redistest.Options{})
	conn := redis.Conn(b, redis.URL())
	do := func(args ...string) {
		b.Helper()
		if err, wrong := conn.Do(args...).(redistest.Error); wrong {
			b.Fatal(err)
		}
	}
	const script = `
for i = ARGV[1] * 1, ARGV[1] + #ARGV - 6 do
	local id = string.format('%s%035d', string.sub(ARGV[2], 1, 1), i)
	local at = function(later)
		local second = 28800 + later + math.floor(i / 100)
		return string.format('2026-10-05T%02d:%02d:%02d.%06dZ', second / 3600, second / 60 % 60, second % 60, i % 100 * 10000)
	end
	redis.call('HSET', 'rq:job:' .. id, 'data', ARGV[6 + i - ARGV[1]], 'origin', ARGV[3], 'status', ARGV[2], 'description', ARGV[4],
		'created_at', at(0), 'enqueued_at', at(0), 'timeout', '180')
	if ARGV[2] == 'queued' then
		redis.call('RPUSH', 'rq:queue:' .. ARGV[3], id)
	else
		redis.call('HSET', 'rq:job:' .. id, 'started_at', at(60), 'ended_at', at(67))
		redis.call('ZADD', 'rq:failed:' .. ARGV[3], 2e9 + i, id)
		redis.call('XADD', 'rq:results:' .. id, '*', 'type', '2', 'exc_string', ARGV[5])
	end
end`
	do("SADD", "rq:queues", "rq:queue:default", "rq:queue:high")
	fill := func(status, queue, function string, n int) {
		const step = 2000
		var calls []string
		for k := range crowdClients {
			call, err := pickle.AppendCallOf(nil, function, pickle.Tuple{fmt.Sprintf("Cliente %04d Ltda", k)}, pickle.Dict{{Key: "mes", Value: "2026-10"}})
			if err != nil {
				b.Fatal(err)
			}
			calls = append(calls, string(packed(b, string(call))))
		}
		trace := base64.StdEncoding.EncodeToString(packed(b, "Traceback (most recent call last):\n"+
			strings.Repeat("  File \"/srv/robots/fiscal.py\", line 88, in emitir\n    pagina.clicar(botao)\n", 17)+"TimeoutError: the portal did not answer\n"))
		for i := 0; i < n; i += step {
			args := []string{"EVAL", script, "0", strconv.Itoa(i), status, queue, function + "(…)", trace}
			for k := i; k < min(i+step, n); k++ {
				args = append(args, calls[k%crowdClients])
			}
			do(args...)
		}
	}
	fill("queued", "default", "nfse.baixar", crowdQueued)
	fill("failed", "high", "fiscal.emitir", crowdFailed)
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	for i := range crowdWorkers {
		name := fmt.Sprintf("rpa-%02d", i)
		do("SADD", "rq:workers", "rq:worker:"+name)
		do("SADD", "rq:workers:default", "rq:worker:"+name)
		do("HSET", "rq:worker:"+name, "birth", now, "last_heartbeat", now, "queues", "default", "pid", strconv.Itoa(1000+i), "hostname", fmt.Sprintf("rpa-%d", i/10),
			"ip_address", "10.0.0.1", "version", "1.13.0", "python_version", "3.11.2", "state", "suspended", "successful_job_count", "12", "failed_job_count", "1", "total_working_time", "40.5")
		do("EXPIRE", "rq:worker:"+name, "3600")
	}
	s := newServer(b, fmt.Sprintf("redis_url = %s\nworkers = 0\n", redis.URL()), map[string]string{"nfse.py": flows, "fiscal.py": flows}).start()
	c := &crowd{s, b, redis}
	c.poll("what failed is in the history", func() bool {
		var count httpapi.ExecutionCount
		c.get("/api/v1/executions/count?q=state:failed", &count)
		return count.Count == crowdFailed
	})
	return c
}

func packed(b *testing.B, text string) []byte {
	b.Helper()
	var to bytes.Buffer
	w := zlib.NewWriter(&to)
	if _, err := io.WriteString(w, text); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return to.Bytes()
}

// BenchmarkDashboard measures what readers of the dashboard wait for where much is
// on Redis, and what open tabs cost: a tab over ten minutes, a hundred over half
// a minute; less where it is to be short.
func BenchmarkDashboard(b *testing.B) {
	browser := browsertest.Start(b)
	c := newCrowd(b)
	for name, path := range map[string]string{
		"home": "/", "jobs": "/jobs", "queues": "/queues", "workers": "/workers", "failed": "/jobs?q=state:failed",
		"search": "/jobs?q=" + url.QueryEscape(`function:fiscal.emitir args:"Cliente 0042"`),
		"queued": "/jobs?q=" + url.QueryEscape(`state:queued function:nfse.baixar args:"Cliente 0042"`),
	} {
		b.Run("page/"+name, func(b *testing.B) {
			var took []time.Duration
			for range 40 {
				began := time.Now()
				c.page(b, path)
				took = append(took, time.Since(began))
			}
			b.ReportMetric(percentile(took, 50).Seconds()*1000, "p50-ms")
			b.ReportMetric(percentile(took, 95).Seconds()*1000, "p95-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
	for name, path := range map[string]string{"home": "/", "jobs": "/jobs", "failed": "/jobs?q=state:failed"} {
		b.Run("slow/"+name, func(b *testing.B) { c.slow(b, browser, path) })
	}
	b.Run("tab", func(b *testing.B) { c.tab(b, browser) })
	b.Run("tabs", func(b *testing.B) { c.tabs(b) })
}

// page is a page as the server makes it.
func (c *crowd) page(b *testing.B, path string) []byte {
	b.Helper()
	response, err := http.Get(c.pages + path)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s %v", path, response.Status, err)
	}
	return text
}

// slow opens a page with a quarter of the processor and a link of 1.6 Mbit/s, and
// uses it.
func (c *crowd) slow(b *testing.B, browser *browsertest.Browser, path string) {
	b.Helper()
	tab := browser.NewTab(b, browsertest.Options{})
	tab.Slow(4, 1_600_000/8, 150*time.Millisecond)
	tab.RunOnEveryPage(`window.seen = { lcp: 0, cls: 0, inp: 0 };
new PerformanceObserver((list) => { for (const e of list.getEntries()) seen.lcp = e.startTime; }).observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) seen.cls += e.value; }).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => { for (const e of list.getEntries()) seen.inp = Math.max(seen.inp, e.duration); }).observe({ type: "event", durationThreshold: 16, buffered: true });`)
	tab.Go(c.pages + path)
	tab.Wait(isLive)
	tab.Wait(`seen.lcp > 0`)
	b.ReportMetric(tab.Number(`seen.lcp`), "LCP-ms")
	tab.Press("?")
	tab.Wait(`document.querySelector("dialog[open]")`)
	tab.Press(browsertest.KeyEscape)
	tab.Wait(`!document.querySelector("dialog[open]")`)
	tab.Press("k", browsertest.Ctrl)
	tab.Wait(`document.activeElement.id === "command-q"`)
	tab.Press("cliente")
	tab.Wait(`document.activeElement.value === "cliente"`)
	tab.Do(`await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 200)))`)
	b.ReportMetric(tab.Number(`seen.inp`), "INP-ms")
	b.ReportMetric(tab.Number(`seen.cls`), "CLS")
	b.ReportMetric(0, "ns/op")
}

// tab is what an open tab asks for while nothing happens.
func (c *crowd) tab(b *testing.B, browser *browsertest.Browser) {
	b.Helper()
	target, err := url.Parse(c.pages)
	if err != nil {
		b.Fatal(err)
	}
	var sent, asked atomic.Int64
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = target.Host },
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			asked.Add(1)
			r.Body = &counted{r.Body, &sent}
			return nil
		},
	}
	front := httptest.NewServer(proxy)
	defer front.CloseClientConnections()
	tab := browser.NewTab(b, browsertest.Options{})
	tab.Go(front.URL + "/")
	tab.Wait(isLive)
	tab.Requests()
	before, askedBefore := sent.Load(), asked.Load()
	minutes := 10.0
	if short() {
		minutes = 1
	}
	rest := time.NewTimer(time.Duration(minutes * float64(time.Minute)))
	<-rest.C
	tab.Is(isLive, true)
	b.ReportMetric(float64(sent.Load()-before)/1000/minutes*10, "kB/10min")
	b.ReportMetric(float64(asked.Load()-askedBefore)/minutes, "requests/min")
	b.ReportMetric(0, "ns/op")
}

// counted counts what is read of an answer.
type counted struct {
	io.ReadCloser

	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// tabs is what a hundred streams of home pages cost.
func (c *crowd) tabs(b *testing.B) {
	b.Helper()
	const open = 100
	seconds, calls := float64(scaled(30)), func() int {
		text, _ := c.redis.Do(b, "INFO", "stats").(string)
		_, text, _ = strings.Cut(text, "total_commands_processed:")
		n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(text, "\n", 2)[0]))
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	commands := func() float64 {
		before, rest := calls(), time.NewTimer(time.Duration(seconds*float64(time.Second)))
		<-rest.C
		return float64(calls()-before) / seconds
	}
	without := commands()
	memory, pid := statusMB(b, c.process.Pid(), "VmRSS"), c.process.Pid()
	ctx, cancel := context.WithCancel(b.Context())
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel()
	var greeted atomic.Int64
	for range open {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.pages+"/api/v1/events?topics=overview,jobs", nil)
		if err != nil {
			b.Fatal(err)
		}
		streams.Go(func() {
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return
			}
			defer response.Body.Close()
			one := make([]byte, 1)
			if _, err := response.Body.Read(one); err == nil {
				greeted.Add(1)
			}
			_, _ = io.Copy(io.Discard, response.Body)
		})
	}
	c.poll("all streams are open", func() bool { return greeted.Load() == open })
	ticks, with := cpu(b, pid), commands()
	b.ReportMetric(float64(cpu(b, pid)-ticks)/seconds, "cpu-%")
	b.ReportMetric(with, "redis-commands/s")
	b.ReportMetric(without, "without")
	b.ReportMetric(statusMB(b, pid, "VmRSS")-memory, "more-MB")
	b.ReportMetric(0, "ns/op")
}

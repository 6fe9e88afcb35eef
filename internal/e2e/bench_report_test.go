package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// posting is what was measured of POST /scheduler/queue-task on one queue, one
// value for each round.
type posting struct {
	queue   string
	rate    []float64 // requests/s
	latency []time.Duration
}

// post measures the original's request beside that of the embedded queue, whose
// every answer is synced. It also returns what a sync takes on the same disk.
func (c *contest) post(rounds int) (all []posting, sync time.Duration) {
	c.b.Helper()
	all = []posting{{queue: "embedded, every answer synced"}, {queue: "Redis"}, {queue: "Redis, 2 ms added to round trips"}}
	urls := []string{"", c.redis.URL(), c.proxy.URL(0)}
	for range rounds {
		for i, n := range []int{30_000, 40_000, 20_000} {
			n, settings := scaled(n), "workers = 0\n"
			if urls[i] != "" {
				settings += "redis_url = " + urls[i] + "\n"
			}
			c.do("FLUSHALL")
			s := newServer(c.b, settings, map[string]string{"noop.py": noop}).start()
			rate, latency := s.queueTasks(n)
			if queued := s.pending(); queued != n {
				c.b.Fatalf("%s: %d jobs are queued, want %d", all[i].queue, queued, n)
			}
			if urls[i] == "" {
				sync = fdatasync(c.b, s.dir)
			}
			s.stop()
			all[i].rate = append(all[i].rate, rate)
			all[i].latency = append(all[i].latency, latency...)
		}
	}
	return all, sync
}

// queueTasks posts the original's request n times from 16 connections.
func (s *server) queueTasks(n int) (rate float64, latency []time.Duration) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	body := []byte(`{"module":"noop","function":"run","queue":"default"}`)
	var next atomic.Int64
	var clients sync.WaitGroup
	took := make([][]time.Duration, 16)
	begin := time.Now()
	for i := range took {
		clients.Go(func() {
			for next.Add(1) <= int64(n) {
				begin := time.Now()
				response, err := client.Post(s.url+"/scheduler/queue-task", "application/json", bytes.NewReader(body))
				if err != nil {
					s.t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != http.StatusCreated {
					s.t.Errorf("status %d", response.StatusCode)
				}
				took[i] = append(took[i], time.Since(begin))
			}
		})
	}
	clients.Wait()
	return float64(n) / time.Since(begin).Seconds(), slices.Concat(took...)
}

// print writes what docs/benchmarks.md shows.
func (c *contest) print(w io.Writer, peers []peer, all []figures, posted []posting, sync time.Duration) {
	c.b.Helper()
	fmt.Fprintf(w, "\n%s\n\n", c.machine(sync))

	stock := all[0]
	rows := [][]string{{"worker", "jobs/s", "ratio", "p50 ms", "p99 ms", "round trips", "idle", "sent", "in scripts", "Redis µs", "MB", "jobs/s at 2 ms", "ratio"}}
	for i, f := range all {
		rows = append(rows, []string{
			peers[i].name,
			digits(median(f.rate)), digits(median(f.rate) / median(stock.rate)),
			milliseconds(f.latency, 50), milliseconds(f.latency, 99),
			digits(median(f.trips)), digits(median(f.idle)), digits(median(f.sent)), digits(median(f.scripted)),
			digits(median(f.redis)), digits(median(f.memory)),
			digits(median(f.farRate)), digits(median(f.farRate) / median(stock.farRate)),
		})
	}
	fmt.Fprintln(w, table(rows))

	rows = [][]string{{"POST /scheduler/queue-task, 16 connections", "requests/s", "p50 ms", "p99 ms"}}
	for _, p := range posted {
		rows = append(rows, []string{p.queue, digits(median(p.rate)), milliseconds(p.latency, 50), milliseconds(p.latency, 99)})
	}
	fmt.Fprintln(w, table(rows))

	for _, p := range peers {
		for _, command := range p.commands {
			fmt.Fprintf(w, "- %s: `%s`\n", p.name, strings.Join(command, " "))
		}
	}
	fmt.Fprintln(w)
}

// machine says what the figures were measured on and with.
func (c *contest) machine(sync time.Duration) string {
	c.b.Helper()
	cpu, _ := os.ReadFile("/proc/cpuinfo") // Linux only, as what is compared
	_, model, _ := strings.Cut(string(cpu), "model name")
	model, _, _ = strings.Cut(model, "\n")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	info := c.do("INFO", "server").(string)
	_, redis, _ := strings.Cut(info, "redis_version:")
	redis, _, _ = strings.Cut(redis, "\r\n")
	versions := c.stock.Run(c.b, c.redis.URL(), "import platform, celery, redis, rq\n"+
		"print(f'Python {platform.python_version()}, rq {rq.VERSION}, celery {celery.__version__}, redis-py {redis.__version__}')")
	return fmt.Sprintf("%d × %s, Linux %s, Redis %s, %s, %s; fdatasync %.2f ms.",
		runtime.NumCPU(), strings.Trim(model, "\t :"), strings.TrimSpace(string(kernel)), redis,
		strings.TrimSpace(versions), runtime.Version(), sync.Seconds()*1000)
}

// table is rows as Markdown, the first its head, in columns that line up.
func table(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(&b, "| %s%s |", cell, space)
			} else {
				fmt.Fprintf(&b, " %s%s |", space, cell)
			}
		}
		b.WriteByte('\n')
		if n == 0 {
			for i := range row {
				if i == 0 {
					fmt.Fprintf(&b, "|%s|", strings.Repeat("-", width[i]+2))
				} else {
					fmt.Fprintf(&b, "%s:|", strings.Repeat("-", width[i]+1))
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// digits writes a number with three digits at least.
func digits(n float64) string {
	switch {
	case n >= 99.95:
		return fmt.Sprintf("%.0f", n)
	case n >= 9.995:
		return fmt.Sprintf("%.1f", n)
	default:
		return fmt.Sprintf("%.2f", n)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func percentile(took []time.Duration, p int) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)*p/100]
}

func milliseconds(took []time.Duration, p int) string {
	return digits(percentile(took, p).Seconds() * 1000)
}

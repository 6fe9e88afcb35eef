package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// The benchmarks run the binary as a user would, with -benchtime 1x: each
// chooses its own amount of work. `make bench` runs them.

const noop = "def run():\n    pass\n"

// BenchmarkThroughput drains a full embedded queue of no-op jobs on two slots.
func BenchmarkThroughput(b *testing.B) {
	for isolation, jobs := range map[string]int{"pool": 60_000, "fork": 3_000} {
		b.Run(isolation, func(b *testing.B) {
			s := newServer(b, "result_ttl = 1h\nworkers = 2\nisolation = "+isolation+"\n", map[string]string{"noop.py": noop}).start()
			for id := range 4 {
				s.ended(s.enqueue("noop.run", "", fmt.Sprintf(`, "id": "warm-%d"`, id)))
			}
			s.post("/api/v1/queues/default/pause", "")
			s.fill(jobs)
			b.ResetTimer()
			s.post("/api/v1/queues/default/resume", "")
			s.poll("the queue is drained", func() bool { return s.pending() == 0 })
			b.StopTimer()
			b.ReportMetric(float64(jobs)/b.Elapsed().Seconds(), "jobs/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkLatency enqueues one no-op job at a time on an idle server and waits
// for its end, as a client sees it: two HTTP requests included.
func BenchmarkLatency(b *testing.B) {
	for _, isolation := range []string{"pool", "fork"} {
		b.Run(isolation, func(b *testing.B) {
			s := newServer(b, "workers = 2\nisolation = "+isolation+"\n", map[string]string{"noop.py": noop}).start()
			var took []time.Duration
			for n := range 330 {
				begin := time.Now()
				s.ended(s.enqueue("noop.run", "", ""))
				if n >= 30 { // the first ones warm caches
					took = append(took, time.Since(begin))
				}
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkEnqueue posts the original's request from 16 connections to a
// server without workers. Every answer is synced; the cost of a sync on the
// same disk is measured beside it.
func BenchmarkEnqueue(b *testing.B) {
	s := newServer(b, "workers = 0\n", map[string]string{"noop.py": noop}).start()
	const jobs = 40_000
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	body := []byte(`{"module":"noop","function":"run","queue":"default"}`)
	var next atomic.Int64
	var clients sync.WaitGroup
	b.ResetTimer()
	for range 16 {
		clients.Go(func() {
			for next.Add(1) <= jobs {
				response, err := client.Post(s.url+"/scheduler/queue-task", "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = new(bytes.Buffer).ReadFrom(response.Body)
				response.Body.Close()
				if response.StatusCode != http.StatusCreated {
					b.Errorf("status %d", response.StatusCode)
				}
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	b.ReportMetric(jobs/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(fdatasync(b, s.dir).Seconds()*1000, "fdatasync-ms")
	b.ReportMetric(0, "ns/op")
}

// fdatasync is the median time of a small synced write.
func fdatasync(b *testing.B, dir string) time.Duration {
	b.Helper()
	file, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	var took []time.Duration
	for range 200 {
		begin := time.Now()
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(file.Fd())); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// BenchmarkAtRest weighs an idle server with two workers over ten seconds.
func BenchmarkAtRest(b *testing.B) {
	s := newServer(b, "workers = 2\n", map[string]string{"noop.py": noop}).start()
	s.ended(s.enqueue("noop.run", "", ""))
	settle := time.NewTimer(2 * time.Second)
	<-settle.C
	before := cpu(b, s.cmd.Process.Pid)
	settle.Reset(10 * time.Second)
	<-settle.C
	b.ReportMetric(float64(cpu(b, s.cmd.Process.Pid)-before)/10, "cpu-%")
	b.ReportMetric(statusMB(b, s.cmd.Process.Pid, "VmRSS"), "go-rss-MB")
	total := pss(b, s.cmd.Process.Pid)
	for _, p := range s.processes() {
		pid, _, _ := strings.Cut(p, " ")
		if n, err := strconv.Atoi(pid); err == nil {
			total += pss(b, n)
		}
	}
	b.ReportMetric(total, "all-pss-MB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMillion holds 1,000,000 queued jobs and reads pages of them.
func BenchmarkMillion(b *testing.B) {
	s := newServer(b, "workers = 0\n", map[string]string{"noop.py": noop}).start()
	begin := time.Now()
	s.fill(1_000_000)
	b.ReportMetric(1_000_000/time.Since(begin).Seconds(), "batch-jobs/s")
	var worst time.Duration
	for _, query := range []string{"", "?status=queued", "?queue=default", "?function=noop.run", "?queue=default&status=queued&limit=500", "?status=failed"} {
		var took []time.Duration
		for range 15 {
			var page httpapi.JobPage
			begin := time.Now()
			s.get("/api/v1/jobs"+query, &page)
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		worst = max(worst, took[len(took)/2])
	}
	b.ReportMetric(worst.Seconds()*1000, "worst-page-ms")
	b.ReportMetric(statusMB(b, s.cmd.Process.Pid, "VmHWM"), "peak-MB")
	b.ReportMetric(0, "ns/op")
}

// fill queues n no-op jobs in batches from four connections.
func (s *server) fill(n int) {
	s.t.Helper()
	one := `{"function": "noop.run"}`
	body := fmt.Sprintf(`{"jobs": [%s]}`, strings.Join(slices.Repeat([]string{one}, 500), ","))
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for next.Add(500) <= int64(n) {
				if status, text, err := s.try(http.MethodPost, "/api/v1/jobs/batch", body); err != nil || status >= 300 {
					s.t.Errorf("batch: %d %.200s %v", status, text, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// pending counts the jobs that have not ended.
func (s *server) pending() int {
	s.t.Helper()
	var queues httpapi.QueueList
	s.get("/api/v1/queues", &queues)
	left := 0
	for _, q := range queues.Queues {
		left += q.Jobs["queued"] + q.Jobs["started"] + q.Jobs["scheduled"]
	}
	return left
}

// cpu is the processor time of a process in hundredths of a second.
func cpu(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

func statusMB(b *testing.B, pid int, name string) float64 {
	b.Helper()
	return procMB(b, fmt.Sprintf("/proc/%d/status", pid), name)
}

func pss(b *testing.B, pid int) float64 {
	b.Helper()
	return procMB(b, fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss")
}

func procMB(b *testing.B, path, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			kB, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kB) / 1024
		}
	}
	b.Fatalf("no %s in %s", name, path)
	return 0
}

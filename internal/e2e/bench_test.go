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
// chooses its own amount of work. `make bench` runs them; DISTRO_BENCH=short
// lets them do with a fraction of it.

const noop = "def run():\n    pass\n"

func short() bool { return os.Getenv("DISTRO_BENCH") == "short" }

func scaled(n int) int {
	if short() {
		return max(n/4, 20)
	}
	return n
}

// BenchmarkThroughput drains a full embedded queue of no-op jobs on two slots.
func BenchmarkThroughput(b *testing.B) {
	for isolation, jobs := range map[string]int{"pool": scaled(60_000), "fork": scaled(3_000)} {
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
			s.reportLatency(b, 300)
		})
	}
}

// BenchmarkEnvironment is BenchmarkLatency with one worker that forks, without an
// environment and in one that has a package from a wheel.
func BenchmarkEnvironment(b *testing.B) {
	for _, setting := range []string{"off", "on"} {
		b.Run(setting, func(b *testing.B) {
			s := newServer(b, "environments = "+setting+"\nworkers = 1\n", map[string]string{"noop.py": noop, "requirements.txt": "greetings==1.0\n"})
			wheels := filepath.Join(s.dir, "wheels")
			wheel(b, wheels, "greetings", "1.0")
			begin := time.Now()
			s.start("env", "-u", "VIRTUAL_ENV", "PIP_NO_INDEX=1", "PIP_FIND_LINKS="+wheels, "UV_NO_INDEX=1", "UV_FIND_LINKS="+wheels)
			s.ended(s.enqueue("noop.run", "", ""))
			b.ReportMetric(time.Since(begin).Seconds()*1000, "first-ms")
			s.reportLatency(b, 100)
		})
	}
}

// reportLatency enqueues jobs that do nothing, each when the one before has ended.
func (s *server) reportLatency(b *testing.B, jobs int) {
	b.Helper()
	var took []time.Duration
	for n := range jobs + jobs/10 {
		begin := time.Now()
		s.ended(s.enqueue("noop.run", "", ""))
		if n >= jobs/10 { // the first ones warm caches
			took = append(took, time.Since(begin))
		}
	}
	b.ReportMetric(percentile(took, 50).Seconds()*1000, "p50-ms")
	b.ReportMetric(percentile(took, 99).Seconds()*1000, "p99-ms")
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
	before := cpu(b, s.process.Pid())
	settle.Reset(10 * time.Second)
	<-settle.C
	b.ReportMetric(float64(cpu(b, s.process.Pid())-before)/10, "cpu-%")
	b.ReportMetric(statusMB(b, s.process.Pid(), "VmRSS"), "go-rss-MB")
	total := pss(b, s.process.Pid())
	for _, p := range s.processes() {
		pid, _, _ := strings.Cut(p, " ")
		if n, err := strconv.Atoi(pid); err == nil {
			total += pss(b, n)
		}
	}
	b.ReportMetric(total, "all-pss-MB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMillion holds 1,000,000 queued jobs and reads pages of them; a
// quarter of them where it is to be short.
func BenchmarkMillion(b *testing.B) {
	s := newServer(b, "workers = 0\n", map[string]string{"noop.py": noop}).start()
	begin := time.Now()
	jobs := scaled(1_000_000)
	s.fill(jobs)
	b.ReportMetric(float64(jobs)/time.Since(begin).Seconds(), "batch-jobs/s")
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
	b.ReportMetric(statusMB(b, s.process.Pid(), "VmHWM"), "peak-MB")
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
	kB, found := procField(text, name)
	if !found {
		b.Fatalf("no %s in %s", name, path)
	}
	return kB / 1024
}

// procField finds a number of kB in a file of /proc.
func procField(text []byte, name string) (kB float64, found bool) {
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			kB, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kB, err == nil
		}
	}
	return 0, false
}

package store_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/store"
)

// BenchmarkMillion records 1,000,000 executions, each when it starts and when it
// ends, in batches of 200, and then measures first pages of what people ask.
// DISTRO_BENCH_EXECUTIONS sets another number.
//
//	go test -run '^$' -bench Million -benchtime 1x -timeout 1h ./internal/store
func BenchmarkMillion(b *testing.B) {
	total := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("DISTRO_BENCH_EXECUTIONS")); err == nil {
		total = n
	}
	for _, p := range places() {
		b.Run(p.name, func(b *testing.B) {
			resetPeak()
			s := open(b, p.options(b, tempDir(b)))
			w := newWorld(total)
			for b.Loop() {
				start, computed := time.Now(), cpu()
				for n := 0; n < total; n += 200 {
					w.record(b, s, n, min(n+200, total))
					if done := n + 200; done%100_000 == 0 {
						say("%d executions: %.0f a second, %v of computing each", done, float64(done)/time.Since(start).Seconds(), (cpu()-computed)/time.Duration(done))
					}
				}
				b.ReportMetric(float64(total)/time.Since(start).Seconds(), "executions/s")
			}
			say("VmHWM after recording: %d MB", peak()>>20)
			for _, q := range slices.Concat(w.questions(), w.beginnings()) {
				measure(b, s, q, 150)
			}
			b.ReportMetric(float64(peak()>>20), "VmHWM-MB")
			n, size, err := s.Totals(b.Context())
			say("%d executions, %d MB estimated, %v; VmHWM %d MB", n, size>>20, err, peak()>>20)
		})
	}
}

// world makes executions as a busy team would: in 30 days, of 60 functions in
// 12 modules, 3 of 100 failed.
type world struct {
	total   int
	clients []string
}

func newWorld(total int) *world {
	w := &world{total: total}
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		w.clients = append(w.clients, fmt.Sprintf("Comércio %s%d Ltda", string(rune('A'+r.IntN(26))), r.IntN(100_000)))
	}
	return w
}

func (w *world) execution(n int) (begun, ended distro.Execution) {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	function := int(60 * math.Pow(r.Float64(), 2))
	step := 30 * 24 * time.Hour / time.Duration(w.total)
	start := epoch().Add(time.Duration(n)*step + time.Duration(r.IntN(1_000_000))*time.Microsecond)
	client := w.clients[r.IntN(len(w.clients))]
	if r.IntN(5) == 0 {
		client = "ACME S.A."
	}
	e := distro.Execution{
		JobID: fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64()>>16),
		Run:   fmt.Sprintf("%016x", r.Uint64()), Attempt: 1,
		Module: "fiscal.modulo" + strconv.Itoa(function%12), Function: "funcao" + strconv.Itoa(function),
		Queue:     []string{"default", "default", "high", "low"}[r.IntN(4)],
		Arguments: fmt.Sprintf("'%s', mes=%d, nota='NF-%07d', valor=%d.%02d", client, r.IntN(12)+1, n, r.IntN(10_000), r.IntN(100)),
		State:     distro.ExecutionStarted, EnqueuedAt: start.Add(-time.Duration(r.ExpFloat64() * float64(time.Second))), StartedAt: start,
		Worker: "rpa-" + strconv.Itoa(r.IntN(20)), Host: "host-" + strconv.Itoa(r.IntN(5)), Python: "3.11.2",
		CodeHash: "0123456789abcdef" + strconv.Itoa(function), Commit: "fedcba9876543210", Trigger: "api", Caller: "ana",
	}
	begun = e
	e.State, e.Result = distro.ExecutionFinished, distro.View{Text: `{"ok": true, "nota": ` + strconv.Itoa(n) + `}`, JSON: true}
	e.EndedAt = start.Add(time.Duration(math.Exp(r.NormFloat64()*1.5) * float64(time.Second)))
	e.PeakMemory, e.CPUTime = 40<<20, time.Second
	if r.IntN(100) < 3 {
		e.State, e.Result = distro.ExecutionFailed, distro.View{}
		class := []string{"requests.exceptions.ConnectTimeout", "selenium.common.NoSuchElementException", "ValueError"}[r.IntN(3)]
		e.Failure = &distro.Failure{
			Kind: distro.FailureException, Type: class, Message: fmt.Sprintf("não foi possível emitir a nota %d na página %d", n, r.IntN(50)),
			Traceback: "Traceback (most recent call last):\n" + string(bytes.Repeat([]byte("  File \"/srv/automations/fiscal/nfse.py\", line 88, in baixar\n"), 12)),
		}
	}
	return begun, e
}

func (w *world) record(b *testing.B, s *store.Store, from, to int) {
	var begun, ended []distro.Execution
	for n := from; n < to; n++ {
		x, y := w.execution(n)
		begun, ended = append(begun, x), append(ended, y)
	}
	for _, batch := range [][]distro.Execution{begun, ended} {
		if err := s.Record(b.Context(), batch, "feed", strconv.Itoa(to)); err != nil {
			b.Fatal(err)
		}
	}
}

// question is a kind of search, with other values each time.
type question struct {
	name   string
	filter func(r *rand.Rand) store.Filter
}

// function is one of those that ran, the busy ones more often.
func (w *world) function(r *rand.Rand) store.Functions {
	n := int(60 * math.Pow(r.Float64(), 2))
	return store.Functions{fmt.Sprintf("fiscal.modulo%d.funcao%d", n%12, n)}
}

// window is an hour to three days.
func (w *world) window(r *rand.Rand) store.Started {
	from := epoch().Add(time.Duration(r.IntN(25*24)) * time.Hour)
	return store.Started{From: from, To: from.Add(time.Duration(1+r.IntN(72)) * time.Hour)}
}

func (w *world) questions() []question {
	failed := store.States{distro.ExecutionFailed}
	is := func(f store.Filter) func(*rand.Rand) store.Filter { return func(*rand.Rand) store.Filter { return f } }
	return []question{
		{"list", is(nil)},
		{"function-state-time", func(r *rand.Rand) store.Filter { return store.And{w.function(r), failed, w.window(r)} }},
		{"function-finished-time", func(r *rand.Rand) store.Filter {
			return store.And{w.function(r), store.States{distro.ExecutionFinished}, w.window(r)}
		}},
		{"function", func(r *rand.Rand) store.Filter { return w.function(r) }},
		{"module", func(r *rand.Rand) store.Filter { return store.Functions{"fiscal.modulo" + strconv.Itoa(r.IntN(12))} }},
		{"queue-failed", is(store.And{store.Queues{"high"}, failed})},
		{"worker", func(r *rand.Rand) store.Filter { return store.Workers{"rpa-" + strconv.Itoa(r.IntN(20))} }},
		{"slow", is(store.Took{Min: time.Minute})},
		{"not-finished", is(store.Not{Filter: store.States{distro.ExecutionFinished}})},
		{"argument-unique", func(r *rand.Rand) store.Filter {
			return store.Arguments{Words: fmt.Sprintf("NF-%07d", r.IntN(w.total))}
		}},
		{"argument-rare", func(r *rand.Rand) store.Filter { return store.Arguments{Words: w.clients[r.IntN(len(w.clients))]} }},
		{"argument-frequent", is(store.Arguments{Words: "acme"})},
		{"argument-everywhere", is(store.Arguments{Words: "mes nota"})},
		{"argument-prefix", func(r *rand.Rand) store.Filter {
			return store.Arguments{Words: fmt.Sprintf("%05d", r.IntN(w.total/100)), Prefix: true}
		}},
		{"keyword", func(r *rand.Rand) store.Filter {
			return store.Keyword{Name: "mes", Words: strconv.Itoa(1 + r.IntN(12))}
		}},
		{"argument-none", is(store.Arguments{Words: "inexistente"})},
		{"argument-not", is(store.Not{Filter: store.Arguments{Words: "acme"}})},
		{"argument-function-failed", func(r *rand.Rand) store.Filter {
			return store.And{w.function(r), failed, store.Arguments{Words: "acme"}}
		}},
		{"argument-time", func(r *rand.Rand) store.Filter { return store.And{w.window(r), store.Arguments{Words: "acme"}} }},
		{"argument-or", func(r *rand.Rand) store.Filter {
			return store.Or{store.Arguments{Words: "acme"}, store.ErrorText{Words: "timeout"}, w.function(r)}
		}},
		{"error-frequent", is(store.ErrorText{Words: "timeout", Prefix: true})},
		{"error-unique", func(r *rand.Rand) store.Filter { return store.ErrorText{Words: strconv.Itoa(r.IntN(w.total))} }},
		{"error-rare-argument", func(r *rand.Rand) store.Filter {
			return store.And{store.ErrorText{Words: "valueerror pagina " + strconv.Itoa(r.IntN(50))}, store.Arguments{Words: "acme"}}
		}},
	}
}

// beginnings are questions for words that may go on, as people type them without
// quotes, where very many executions have them.
func (w *world) beginnings() []question {
	is := func(f store.Filter) func(*rand.Rand) store.Filter { return func(*rand.Rand) store.Filter { return f } }
	arguments := func(words string) store.Filter { return store.Arguments{Words: words, Prefix: true} }
	// What a word without a field asks for.
	anywhere := func(words string) store.Filter {
		return store.Or{arguments(words), store.ErrorText{Words: words, Prefix: true}}
	}
	failed := store.States{distro.ExecutionFailed}
	return []question{
		{"prefix-frequent", is(arguments("acme"))},
		{"prefix-everywhere", is(arguments("mes"))},
		{"prefix-two-words", is(arguments("nota acme"))},
		{"prefix-digit", func(r *rand.Rand) store.Filter { return arguments(strconv.Itoa(r.IntN(10))) }},
		{"prefix-rare-digits", func(r *rand.Rand) store.Filter { return arguments(fmt.Sprintf("%04d", r.IntN(w.total/1000))) }},
		{"prefix-not", is(store.Not{Filter: arguments("acme")})},
		{"prefix-anywhere", is(anywhere("acme"))},
		{"prefix-failed", is(store.And{failed, anywhere("acme")})},
		{"prefix-failed-two", is(store.And{failed, anywhere("acme"), anywhere("mes")})},
		{"prefix-failed-digit", func(r *rand.Rand) store.Filter { return store.And{failed, anywhere(strconv.Itoa(r.IntN(10)))} }},
		{"prefix-function", func(r *rand.Rand) store.Filter { return store.And{w.function(r), anywhere("acme")} }},
		{"prefix-function-failed", func(r *rand.Rand) store.Filter { return store.And{w.function(r), failed, anywhere("acme")} }},
		{"prefix-time", func(r *rand.Rand) store.Filter { return store.And{w.window(r), anywhere("acme")} }},
		{"prefix-time-failed", func(r *rand.Rand) store.Filter { return store.And{w.window(r), failed, anywhere("acme")} }},
	}
}

// measure asks one question again and again, and reports how long it took.
func measure(b *testing.B, s *store.Store, q question, times int) {
	r := rand.New(rand.NewPCG(3, 4))
	var took, counting []time.Duration
	rows := 0
	for n := range times {
		filter := q.filter(r)
		start := time.Now()
		page, err := s.Executions(b.Context(), store.Query{Filter: filter, Limit: 50})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		rows += len(page.Executions)
		if n%10 == 0 {
			start = time.Now()
			if _, _, err := s.Count(b.Context(), filter); err != nil {
				b.Fatal(err)
			}
			counting = append(counting, time.Since(start))
		}
	}
	at := func(d []time.Duration, percent int) time.Duration {
		slices.SortFunc(d, cmp.Compare[time.Duration])
		return d[min(len(d)*percent/100, len(d)-1)].Round(10 * time.Microsecond)
	}
	say("%-26s p50 %9v  p95 %9v  max %9v  rows %5.1f   count p50 %9v max %9v", q.name, at(took, 50), at(took, 95), at(took, 100),
		float64(rows)/float64(times), at(counting, 50), at(counting, 100))
	b.ReportMetric(float64(at(took, 95).Microseconds())/1000, q.name+"-p95-ms")
}

// peak is the most memory that the process has had.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, _ := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// resetPeak forgets the peak, where the system lets it.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// say prints at once: what a benchmark logs is cut after some lines.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// cpu is the time that the process has computed, without PostgreSQL's.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

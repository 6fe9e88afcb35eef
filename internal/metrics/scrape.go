package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Times of a scrape.
const (
	countsFor     = 2 * time.Second // counts are as old at most, however often is scraped
	countsTimeout = time.Second     // the queue has so long to count
	maxScrapes    = 8               // at a time; more are told to come again
)

// Queue counts jobs: broker.Broker.
type Queue interface {
	Counts(ctx context.Context) (broker.Counts, error)
}

// Sources are what is read when somebody scrapes.
type Sources struct {
	Queue Queue
	Clock broker.Clock

	Worker string                   // name of the worker in this process; empty: there is none
	Slots  func() (total, busy int) // its slots
}

// Handler returns what answers a scrape. It is to be called once. An answer
// does not wait for a queue that cannot be reached: it says distro_up 0, and
// has nothing that only the queue knows.
func (m *Metrics) Handler(from Sources) http.Handler {
	s := &scraper{metrics: m, from: from, asking: make(chan struct{}, 1)}
	m.registry.MustRegister(s)
	return &handler{s, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(m.opts.Logger.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})}
}

type handler struct {
	scraper *scraper
	next    http.Handler
}

// ServeHTTP answers a scrape.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.scraper.refresh(r.Context())
	h.next.ServeHTTP(w, r)
}

// scraper is the collector of what is read when somebody scrapes.
type scraper struct {
	metrics *Metrics
	from    Sources

	asking chan struct{} // one asks the queue and is in it, the others wait for its answer
	asked  bool          // guarded by asking, as is at
	at     time.Duration // of the last answer

	mu     sync.Mutex
	up     bool // guarded by mu, as is counts
	counts broker.Counts
}

// refresh asks the queue unless it was asked lately. It goes on for the others
// that wait when the client is gone.
func (s *scraper) refresh(ctx context.Context) {
	s.asking <- struct{}{}
	defer func() { <-s.asking }()
	if s.asked && s.from.Clock.Monotonic()-s.at < countsFor {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countsTimeout)
	defer cancel()
	counts, err := s.from.Queue.Counts(ctx)
	if err != nil {
		s.metrics.opts.Logger.DebugContext(ctx, "the queue was not counted for a scrape", "reason", err)
	}
	s.asked, s.at = true, s.from.Clock.Monotonic()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up, s.counts = err == nil, counts
}

// descriptions are those of the scraper's metrics.
type descriptions struct {
	up, suspended, jobs, oldest, paused, slots, busy *prometheus.Desc
}

func describe() descriptions {
	return descriptions{
		up:        prometheus.NewDesc("distro_up", "1 when the queue answered, 0 when it could not be reached.", nil, nil),
		suspended: prometheus.NewDesc("distro_suspended", "1 when all workers are suspended.", nil, nil),
		jobs:      prometheus.NewDesc("distro_queue_jobs", "Jobs of a queue by status.", []string{"queue", "status"}, nil),
		oldest:    prometheus.NewDesc("distro_queue_oldest_seconds", "How long the job that waits longest has stood in a queue; 0 when none waits.", []string{"queue"}, nil),
		paused:    prometheus.NewDesc("distro_queue_paused", "1 when a queue is paused.", []string{"queue"}, nil),
		slots:     prometheus.NewDesc("distro_worker_slots", "Jobs that the worker in this process runs at a time.", []string{"worker"}, nil),
		busy:      prometheus.NewDesc("distro_worker_slots_busy", "Jobs that the worker in this process runs now.", []string{"worker"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (s *scraper) Describe(out chan<- *prometheus.Desc) {
	d := describe()
	for _, desc := range []*prometheus.Desc{d.up, d.suspended, d.jobs, d.oldest, d.paused, d.slots, d.busy} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (s *scraper) Collect(out chan<- prometheus.Metric) {
	d := describe()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if s.from.Worker != "" {
		total, busy := s.from.Slots()
		gauge(d.slots, float64(total), tidy(s.from.Worker))
		gauge(d.busy, float64(busy), tidy(s.from.Worker))
	}
	s.mu.Lock()
	up, counts := s.up, s.counts
	s.mu.Unlock()
	gauge(d.up, number(up))
	if !up {
		return
	}
	gauge(d.suspended, number(counts.Suspended))
	for name, q := range s.byLabel(counts.Queues) {
		for status, jobs := range q.jobs {
			gauge(d.jobs, float64(jobs), name, status)
		}
		gauge(d.oldest, q.oldest.Seconds(), name)
		gauge(d.paused, number(q.paused), name)
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// queueState is what is shown of the queues of one label.
type queueState struct {
	jobs   map[string]int
	oldest time.Duration
	paused bool
}

// byLabel puts queues together that share a label: their jobs are added up,
// the oldest age is that of all, and one that is paused makes it paused.
func (s *scraper) byLabel(queues []distro.QueueInfo) map[string]*queueState {
	now := s.from.Clock.Now()
	all := map[string]*queueState{}
	for _, q := range queues {
		label := s.metrics.queues.label(q.Name)
		state := all[label]
		if state == nil {
			state = &queueState{jobs: map[string]int{}}
			for _, status := range distro.Statuses() {
				state.jobs[string(status)] = 0
			}
			all[label] = state
		}
		for status, jobs := range q.Jobs {
			name := string(status)
			if !status.Valid() {
				name = Other
			}
			state.jobs[name] += jobs
		}
		if !q.OldestAt.IsZero() {
			state.oldest = max(state.oldest, now.Sub(q.OldestAt))
		}
		state.paused = state.paused || q.Paused
	}
	return all
}

// Package metrics counts and measures what an orchestrator does, and shows it
// in the format of Prometheus. docs/metrics.md lists every metric.
//
// It is the one package that knows the client library: others hand it what
// happened in domain types. Labels are bounded, so that neither the functions
// nor the queues that strangers name make the process grow.
package metrics

import (
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/distro-orchestrator/distro"
)

// Bounds of labels. What comes beyond is counted as Other.
const (
	MaxFunctions = 500
	MaxQueues    = 500

	Other = "other"
)

// unknown is the label of a function that nobody named.
const unknown = "unknown"

// Options configure Metrics.
type Options struct {
	Version string   // of Distro
	Queues  []string // have a label of their own however many others there are
	Logger  *slog.Logger
}

// Metrics is a registry of its own with what is counted in it. Its methods may
// be called at the same time.
type Metrics struct {
	opts      Options
	registry  *prometheus.Registry
	functions *labels
	queues    *labels

	executions *prometheus.CounterVec
	wait, run  *prometheus.HistogramVec
	calls      *prometheus.HistogramVec
	databases  *prometheus.HistogramVec
}

// New returns Metrics that count from zero.
func New(opts Options) *Metrics {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{
		opts:      opts,
		registry:  prometheus.NewRegistry(),
		functions: newLabels(MaxFunctions),
		queues:    newLabels(MaxQueues, opts.Queues...),
		executions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "distro_executions_total",
			Help: "Executions that ended, by how and of which function.",
		}, []string{"state", "function"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "distro_execution_wait_seconds",
			Help:    "How long the jobs of executions that ended had stood in their queue.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2, 5, 15, 30, 60, 300, 900, 3600, 14400},
		}, []string{"queue"}),
		run: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "distro_execution_run_seconds",
			Help:    "How long executions that ended ran.",
			Buckets: []float64{.005, .02, .1, .5, 1, 5, 15, 30, 60, 300, 900, 1800, 3600, 14400},
		}, []string{"queue"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "distro_broker_call_seconds",
			Help:    "How long calls of the queue took, by operation and outcome; the wait for work is none.",
			Buckets: []float64{.0002, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"operation", "outcome"}),
		databases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "distro_database_seconds",
			Help:    "How long reads and writes of the databases took, by outcome; a write is a transaction with its commit.",
			Buckets: []float64{.0002, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"database", "operation", "outcome"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "distro_build_info",
		Help:        "What runs: always 1.",
		ConstLabels: prometheus.Labels{"version": opts.Version, "revision": revision(), "go_version": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.executions, m.wait, m.run, m.calls, m.databases, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// revision is the commit this program was built from; empty where the build
// does not tell.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}

// Observe counts an execution that has ended, each time it is told of it: after
// a part of the change feed was lost that is once more for those that are still
// known. One that still runs is not counted.
func (m *Metrics) Observe(x distro.Execution) {
	if x.State == distro.ExecutionStarted {
		return
	}
	m.executions.WithLabelValues(stateLabel(x.State), m.functions.label(functionName(x))).Inc()
	queue := m.queues.label(x.Queue)
	if !x.EnqueuedAt.IsZero() && !x.StartedAt.IsZero() {
		m.wait.WithLabelValues(queue).Observe(x.Waited().Seconds())
	}
	if !x.StartedAt.IsZero() && !x.EndedAt.IsZero() {
		m.run.WithLabelValues(queue).Observe(x.Took().Seconds())
	}
}

func functionName(x distro.Execution) string {
	switch {
	case x.Function == "" && x.Module == "":
		return unknown
	case x.Module == "":
		return x.Function
	case x.Function == "":
		return x.Module
	}
	return x.Module + "." + x.Function
}

func stateLabel(state distro.ExecutionState) string {
	for _, known := range distro.ExecutionStates() {
		if state == known {
			return string(state)
		}
	}
	return Other
}

// Package app puts the parts of an orchestrator together and ends them in
// order. It is the only code that knows every concrete type.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/metrics"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/recorder"
	"github.com/distro-orchestrator/distro/internal/scheduler"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/shipping"
	"github.com/distro-orchestrator/distro/internal/store"
	"github.com/distro-orchestrator/distro/internal/upload"
	"github.com/distro-orchestrator/distro/internal/webhook"
	"github.com/distro-orchestrator/distro/internal/worker"
)

// Options of an App.
type Options struct {
	Config  config.Config
	Environ []string // of this process; jobs get it without the names of Distro
	Version string
	Logger  *slog.Logger
}

// App is an orchestrator that is ready to run: its data directory is locked,
// what an earlier one left is cleared up, and its ports are open.
type App struct {
	opts      Options
	runners   jobRunners     // nil without workers
	worker    *worker.Worker // nil without workers
	scheduler *scheduler.Scheduler
	mover     *shipping.Mover // nil: all workers are in this process
	api       *httpapi.Server
	listener  net.Listener
	dashboard *dashboard.Server
	pages     net.Listener // of the dashboard; nil: its port was taken
	started   time.Time
	tls       *tls.Config // nil: none
	queue     queue
	service   *service.Service
	history   *store.Store
	recorder  *recorder.Recorder
	sources   *recorder.Sources
	artifacts *artifact.Store
	uploads   *upload.Store
	metrics   *metrics.Metrics
	webhook   *webhook.Sender // nil without webhook_url
	draining  atomic.Bool
	closers   closers
}

// New opens everything in the order in which each needs the others. When a
// step fails, those before it are undone.
func New(ctx context.Context, opts Options) (*App, error) {
	a := &App{opts: opts, started: time.Now(), metrics: metrics.New(metrics.Options{
		Version: opts.Version, Queues: opts.Config.Queues, Logger: opts.Logger,
	})}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(explainFull(err, opts.Config), a.closers.close())
	}
	return a, nil
}

// open is one straight line, so that it reads as the list of what there is.
func (a *App) open(ctx context.Context) error {
	cfg, log, clock := a.opts.Config, a.opts.Logger, broker.SystemClock()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data_dir: %w", err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return err
	}
	a.closers.add("data_dir", lock.unlock)

	interpreter, err := python.FindInterpreter(ctx, python.InterpreterOptions{
		Setting: cfg.Python, ModulesDir: cfg.ModulesPath, VirtualEnv: getenv(a.opts.Environ, "VIRTUAL_ENV"),
	})
	if err != nil {
		return err
	}
	if err := python.EndLeftovers(ctx, cfg.DataDir); err != nil {
		return err
	}
	queue, err := openQueue(ctx, cfg, clock, a.metrics, log)
	if err != nil {
		return err
	}
	a.closers.add("queue", queue.close)
	queue.Broker = a.metrics.Broker(queue.Broker)
	a.queue = queue
	a.artifacts = artifact.New(filepath.Join(cfg.DataDir, python.ArtifactsDir))
	if a.uploads, err = upload.Open(filepath.Join(cfg.DataDir, "uploads")); err != nil {
		return err
	}
	printed, err := a.openOutput(queue)
	if err != nil {
		return err
	}
	catalog, err := python.NewCatalog(python.CatalogOptions{Interpreter: interpreter, Dir: cfg.ModulesPath, Logger: log})
	if err != nil {
		return err
	}
	a.closers.add("catalog", catalog.Close)
	if cfg.Workers > 0 {
		if err := a.openWorker(queue, printed, interpreter); err != nil {
			return err
		}
	}
	if err := a.openWebhook(); err != nil {
		return err
	}
	if err := a.openHistory(ctx); err != nil {
		return err
	}
	a.openScheduler(printed)
	if err := a.openAPI(ctx, catalog, printed); err != nil {
		return err
	}
	return a.openDashboard(ctx, interpreter)
}

// openScheduler makes what is done because time passed.
func (a *App) openScheduler(printed *output.Store) {
	cfg := a.opts.Config
	periodic := scheduler.Options{
		Broker: a.queue, Output: printed, Artifacts: a.artifacts, Uploads: a.uploads, Clock: broker.SystemClock(),
		Retention: cfg.Retention, MaxOutput: cfg.OutputSize, Logger: a.opts.Logger,
		History: a.history, Keep: store.Retention{MaxAge: cfg.Retention, MaxRows: cfg.RetentionRows, MaxBytes: cfg.RetentionSize},
	}
	if a.webhook != nil {
		periodic.Alerts, periodic.Queues, periodic.QueueAge = a.webhook, cfg.Queues, cfg.AlertQueueAge
	}
	a.scheduler = scheduler.New(periodic)
}

// openAPI puts the services together that the API offers, and opens its port.
func (a *App) openAPI(ctx context.Context, catalog *python.Catalog, printed *output.Store) error {
	cfg, log := a.opts.Config, a.opts.Logger
	operations, err := service.New(service.Options{
		Broker: a.queue, Catalog: catalog, Output: printed, Arrivals: a.queue.arrivals(), Queues: cfg.Queues,
		Retries: cfg.TaskRetries, RetryInterval: cfg.RetryInterval, JobTimeout: cfg.JobTimeout,
		ResultTTL: cfg.ResultTTL, MaxArguments: int(cfg.MaxBody), Logger: log,
		History: a.history, Behind: a.recorder.Behind, Zone: cfg.Timezone, Commit: a.sources.Commit, Artifacts: a.artifacts, Commands: a.queue.commands,
		Uploads: a.uploads, MaxUpload: cfg.MaxUpload,
	})
	if err != nil {
		return err
	}
	a.service = operations
	token, reading := cfg.AuthToken, cfg.AuthTokenRead
	if cfg.Auth == config.AuthNone {
		token, reading = "", ""
	}
	a.api, err = httpapi.New(httpapi.Options{
		Service: operations, AuthToken: token, ReadToken: reading, Hosts: cfg.Hosts, Listen: cfg.Listen,
		MaxBody: cfg.MaxBody, Version: a.opts.Version, Logger: log, Ready: a.ready,
		Metrics: a.metrics.Handler(a.scraped(a.queue, broker.SystemClock())),
	})
	if err != nil {
		return err
	}
	if a.tls, err = loadTLS(cfg); err != nil {
		return err
	}
	a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen", err)
	}
	a.closers.add("listener", func() error { _ = a.listener.Close(); return nil }) // the server has closed it if it ran
	return nil
}

// openOutput opens the output of jobs, and lets that of workers on other hosts
// come to it.
func (a *App) openOutput(queue queue) (*output.Store, error) {
	cfg, log := a.opts.Config, a.opts.Logger
	dir := filepath.Join(cfg.DataDir, "output")
	printed, err := output.Open(dir, output.Options{MaxPerJob: cfg.MaxOutput, Logger: log})
	if err != nil || queue.output == nil {
		return printed, err
	}
	name, err := storeName(dir)
	if err != nil {
		return nil, err
	}
	a.mover = shipping.NewMover(shipping.MoverOptions{Inbox: queue.output, Jobs: queue, Store: printed, Name: name, Logger: log})
	return printed, nil
}

// scraped is what a scrape reads.
func (a *App) scraped(queue broker.Broker, clock broker.Clock) metrics.Sources {
	from := metrics.Sources{Queue: queue, Clock: clock}
	if a.worker != nil {
		from.Worker, from.Slots = a.worker.Name(), a.worker.Slots
	}
	return from
}

// loadTLS reads the certificate of the API; nil: it is served without TLS.
func loadTLS(cfg config.Config) (*tls.Config, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, distro.Invalid("tls_cert", "no certificate with its key (tls_key) can be loaded: %v", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
}

func (a *App) openWorker(queue queue, printed *output.Store, interpreter python.Interpreter) error {
	cfg, log := a.opts.Config, a.opts.Logger
	environments := ""
	if cfg.Environments {
		environments = EnvironmentsDir(cfg)
	}
	runners, err := openRunners(python.Options{
		Interpreter: interpreter, Modules: cfg.ModulesPath, StateDir: cfg.DataDir,
		Isolation: python.Isolation(cfg.Isolation), Slots: cfg.Workers, KillGrace: cfg.KillGrace,
		MemoryLimit: cfg.JobMemory, Environ: a.opts.Environ, Logger: log,
	}, environments)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name the worker: %w", err)
	}
	name := fmt.Sprintf("%s-%d", host, os.Getpid())
	if queue.redis != nil { // another may have this name, as in a container that was started anew
		name += "-" + distro.NewID()[:8]
	}
	a.runners = runners
	a.worker = worker.New(worker.Options{
		Broker: queue, Redis: queue.redis, Runners: runners, Output: worker.Stored(printed), KillGrace: cfg.KillGrace,
		Artifacts: a.artifacts, MaxArtifacts: cfg.MaxArtifacts,
		Prefetch: runners.Isolation() == python.Pool, Logger: log,
		Worker: distro.Worker{
			Name: name, Host: host, PID: os.Getpid(),
			Queues: cfg.Queues, Slots: cfg.Workers, Isolation: string(runners.Isolation()),
			Python: interpreter.Version, Version: a.opts.Version,
		},
	})
	return nil
}

func (a *App) openWebhook() (err error) {
	cfg := a.opts.Config
	if cfg.WebhookURL == "" {
		return nil
	}
	a.webhook, err = webhook.New(webhook.Options{
		URL: cfg.WebhookURL, Secret: cfg.WebhookSecret, AllowPrivate: cfg.WebhookAllowPrivate,
		Version: a.opts.Version, Logger: a.opts.Logger,
	})
	return err
}

// Addr is the address the API listens on.
func (a *App) Addr() net.Addr { return a.listener.Addr() }

// DashboardAddr is the address the dashboard listens on; nil: it is not served.
func (a *App) DashboardAddr() net.Addr {
	if a.pages == nil {
		return nil
	}
	return a.pages.Addr()
}

// Run serves until intake ends, then lets the running jobs end, and returns
// when everything is closed. When work ends, the jobs that still run are
// killed. The API answers until the last job has ended. A worker that was told
// to end by the queue does not end the rest.
func (a *App) Run(intake, work context.Context) error {
	beside := []part{
		{"scheduler", a.scheduler.Run}, {"history", a.recorder.Run}, {"operations", a.service.RunOperations},
		{"api", func(ctx context.Context) error { return serve(ctx, a.api, a.tls, a.listener, a.api) }},
	}
	if a.pages != nil {
		beside = append(beside, part{"dashboard", func(ctx context.Context) error { return serve(ctx, a.api, a.tls, a.pages, a.dashboard) }})
	}
	if a.runners != nil {
		beside = append(beside, part{"python", a.runners.Run})
	}
	if a.mover != nil {
		beside = append(beside, part{"output", a.mover.Run})
	}
	if a.webhook != nil {
		beside = append(beside, part{"webhook", a.webhook.Run})
	}
	err := together(intake, work, func(intake, work context.Context) error {
		stop := context.AfterFunc(intake, func() { a.draining.Store(true) })
		defer stop()
		if a.worker != nil {
			if err := a.worker.Run(intake, work); err != nil {
				return err
			}
		}
		<-intake.Done()
		return nil
	}, beside...)
	return errors.Join(err, a.closers.close())
}

// shutdownTimeout bounds the wait for requests that are being answered.
const shutdownTimeout = 3 * time.Second

// serve answers HTTP on a listener until ctx ends, and with it what api keeps
// open. Without a certificate it is served without TLS.
func serve(ctx context.Context, api *httpapi.Server, certificate *tls.Config, listener net.Listener, handler http.Handler) error {
	server := api.HTTPServer(handler)
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig = certificate; certificate != nil {
			ended <- server.ServeTLS(listener, "", "")
		} else {
			ended <- server.Serve(listener)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}

// readyWithin is how long the queue may take to answer a probe.
const readyWithin = time.Second

// ready reports whether this orchestrator takes work.
func (a *App) ready(ctx context.Context) error {
	if a.draining.Load() {
		return distro.Errorf(distro.CodeUnavailable, "shutting down")
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if _, err := a.queue.Get(ctx, []string{"-"}); err != nil {
		return &distro.Error{Code: distro.CodeUnavailable, Message: "the queue cannot be reached", Err: err}
	}
	if a.queue.full != nil && a.queue.full() {
		if err := findRoom(a.opts.Config.DataDir); err != nil {
			return &distro.Error{Code: distro.CodeFull, Message: "there is no room left to store jobs; free some disk space", Err: err}
		}
	}
	return nil
}

func getenv(environ []string, name string) string {
	for _, entry := range environ {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/web"
)

// ObserverOptions are those of an Observer.
type ObserverOptions struct {
	Config        config.Config // redis_url, which is required, and what is said of the dashboard and of who may
	DisableDelete bool          // no job is deleted at anybody's request
	Version       string
	Logger        *slog.Logger
}

// Observer is a dashboard for the Redis of others, without an orchestrator: it
// runs nothing, remembers nothing, and writes nothing to that Redis but what
// somebody asks it to do.
type Observer struct {
	opts      ObserverOptions
	queue     queue
	service   *service.Service
	api       *httpapi.Server
	dashboard *dashboard.Server
	tls       *tls.Config // nil: none
	listener  net.Listener
	closers   closers
}

// NewObserver connects to the Redis and opens the port. When a step fails, those
// before it are undone.
func NewObserver(ctx context.Context, opts ObserverOptions) (*Observer, error) {
	o := &Observer{opts: opts}
	if err := o.open(ctx); err != nil {
		return nil, errors.Join(err, o.closers.close())
	}
	return o, nil
}

func (o *Observer) open(ctx context.Context) error {
	cfg, log := o.opts.Config, o.opts.Logger
	var err error
	o.queue, err = openRedis(ctx, redisbroker.Options{
		URL: cfg.RedisURL, Clock: broker.SystemClock(), Quiet: true, Logger: log,
	}, "--redis-url")
	if err != nil {
		return err
	}
	o.closers.add("queue", o.queue.close)
	o.service, err = service.New(service.Options{
		Broker: o.queue, Zone: cfg.Timezone, DisableDelete: o.opts.DisableDelete, Logger: log,
	})
	if err != nil {
		return err
	}
	o.api, err = httpapi.New(httpapi.Options{Service: o.service, Listen: cfg.DashboardListen, Hosts: cfg.Hosts, MaxBody: cfg.MaxBody, Version: o.opts.Version, Logger: log})
	if err != nil {
		return err
	}
	if o.tls, err = loadTLS(cfg); err != nil {
		return err
	}
	o.dashboard, err = dashboard.New(dashboard.Options{
		Service: o.service, Guard: guardOf(cfg, cfg.DashboardListen), Assets: web.Assets(), API: o.api.Inside,
		Secure: o.tls != nil, Zone: cfg.Timezone, Version: o.opts.Version, Logger: log,
		About: dashboard.About{Queue: masked(cfg.RedisURL), Started: time.Now()},
	})
	if err != nil {
		return err
	}
	if o.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.DashboardListen); err != nil {
		return fmt.Errorf("%w: choose another address with --dashboard", err)
	}
	o.closers.add("dashboard", func() error { _ = o.listener.Close(); return nil }) // the server has closed it if it ran
	return nil
}

// Addr is the address the dashboard listens on.
func (o *Observer) Addr() net.Addr { return o.listener.Addr() }

// Run serves until ctx ends, and returns when everything is closed.
func (o *Observer) Run(ctx context.Context) error {
	err := together(ctx, ctx, func(intake, _ context.Context) error {
		<-intake.Done()
		return nil
	}, part{"operations", o.service.RunOperations},
		part{"dashboard", func(ctx context.Context) error { return serve(ctx, o.api, o.tls, o.listener, o.dashboard) }})
	return errors.Join(err, o.closers.close())
}

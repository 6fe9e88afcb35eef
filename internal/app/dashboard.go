package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"

	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/web"
)

// openDashboard makes the pages and opens their port. Where nobody chose the port
// and another program has it, jobs are worth more than pages: the orchestrator
// serves without them, and says so.
func (a *App) openDashboard(ctx context.Context, interpreter python.Interpreter) error {
	cfg, log := a.opts.Config, a.opts.Logger
	host, err := os.Hostname()
	if err != nil {
		host = "" // then the dashboard does not tell other machines' workers
	}
	a.dashboard, err = dashboard.New(dashboard.Options{
		Service: a.service, Guard: guardOf(cfg, cfg.DashboardListen), Assets: web.Assets(), API: a.api.Inside,
		Secure: a.tls != nil, Zone: cfg.Timezone, Version: a.opts.Version, Host: host, Logger: log,
		About: a.about(interpreter),
	})
	if err != nil {
		return err
	}
	a.pages, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.DashboardListen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && cfg.Origin("dashboard_listen") == "default":
		log.WarnContext(ctx, "another program has the dashboard's port: serving without it; choose another with --dashboard",
			"address", cfg.DashboardListen)
		return nil
	case err != nil:
		return fmt.Errorf("%w: choose another address with --dashboard", err)
	}
	a.closers.add("dashboard", func() error { _ = a.pages.Close(); return nil }) // the server has closed it if it ran
	return nil
}

// guardOf is who may ask a listener.
func guardOf(cfg config.Config, listen string) *guard.Guard {
	opts := guard.Options{Listen: listen, Hosts: cfg.Hosts}
	if cfg.Auth != config.AuthNone {
		opts.Token, opts.ReadToken = cfg.AuthToken, cfg.AuthTokenRead
	}
	return guard.New(opts)
}

// about tells people where things are.
func (a *App) about(interpreter python.Interpreter) dashboard.About {
	cfg := a.opts.Config
	shown := dashboard.About{
		Queue: "SQLite", History: "SQLite", Modules: cfg.ModulesPath, Data: cfg.DataDir,
		API: a.listener.Addr().String(), Python: interpreter.Version, Started: a.started,
	}
	if cfg.RedisURL != "" {
		shown.Queue = masked(cfg.RedisURL)
	}
	if cfg.PostgreURL != "" {
		shown.History = masked(cfg.PostgreURL)
	}
	return shown
}

// masked is an address without anything that could be a secret.
func masked(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" && u.Path == "" {
		return "—"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/config"
)

func newUp(con *console) *cobra.Command {
	var f settingFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Serve a folder of automations",
		Long: "Serves the API and runs the jobs, until it is asked to end: then it starts no more jobs and waits\n" +
			"for those that run; asked again, or after drain_timeout, it kills them.\n\n" +
			"Settings stand in config.cfg as name = value; the variable DISTRO_<NAME> overrides the file, and a\n" +
			"flag overrides both. Their names and defaults:\n\n" + strings.TrimRight(config.Help(), "\n"),
		Example: "  distro up\n  distro up --modules ./automations --workers 4\n  DISTRO_AUTH_TOKEN=$(openssl rand -hex 24) distro up --listen :7000",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd, con)
			if err != nil {
				return err
			}
			if err := cfg.CheckModules(); err != nil {
				return err
			}
			return con.serve(cmd.Context(), cfg)
		},
	}
	f.add(cmd)
	return cmd
}

// serve runs an orchestrator until ctx ends and its jobs have ended.
func (con *console) serve(ctx context.Context, cfg config.Config) error {
	logger := con.logger(slog.LevelInfo)
	warnings, err := cfg.CheckListeners()
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		logger.WarnContext(ctx, warning)
	}
	a, err := app.New(ctx, app.Options{
		Config: cfg, Environ: con.environ, Version: readBuild().Version, Logger: logger,
	})
	if err != nil {
		return err
	}
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	pages := "off"
	if addr := a.DashboardAddr(); addr != nil {
		pages = fmt.Sprintf("%s://%s", scheme, addr)
	}
	logger.InfoContext(ctx, "serving", "api", fmt.Sprintf("%s://%s", scheme, a.Addr()), "dashboard", pages,
		"modules", cfg.ModulesPath, "workers", cfg.Workers, "isolation", cfg.Isolation)
	work, stop := workContext(ctx, ending{drain: cfg.DrainTimeout, listen: askedAgain}, logger)
	defer stop()
	return a.Run(ctx, work)
}

// logger writes to stderr: for people on a terminal, else JSON.
func (con *console) logger(level slog.Level) *slog.Logger {
	if con.errTerminal {
		return slog.New(tint.NewTextHandler(con.err, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !con.colors}))
	}
	return slog.New(slog.NewJSONHandler(con.err, &slog.HandlerOptions{Level: level}))
}

// askedAgain listens for the signals that follow the one which ended intake:
// the listener of that one swallows them.
func askedAgain() (signals <-chan os.Signal, stop func()) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	return again, func() { signal.Stop(again) }
}

// ending says how long jobs may go on when intake has ended.
type ending struct {
	drain  time.Duration // 0: until they end
	deaf   time.Duration // signals are not heard for so long
	listen func() (signals <-chan os.Signal, stop func())
}

// workContext is the context of the running jobs. It outlives intake until a
// signal comes, or until drain has passed. stop ends it and waits.
func workContext(intake context.Context, e ending, logger *slog.Logger) (work context.Context, stop func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(intake))
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		select {
		case <-intake.Done():
		case <-work.Done():
			return
		}
		again, unlisten := e.listen()
		defer unlisten()
		var deadline <-chan time.Time
		if e.drain > 0 {
			timer := time.NewTimer(e.drain)
			defer timer.Stop()
			deadline = timer.C
		}
		began := time.Now()
		logger.InfoContext(work, "draining: no more jobs are started, the running ones may end", "drain_timeout", e.drain)
		for {
			select {
			case <-again:
				if time.Since(began) < e.deaf {
					continue
				}
				logger.WarnContext(work, "asked again: the running jobs are killed")
			case <-deadline:
				logger.WarnContext(work, "drain_timeout has passed: the running jobs are killed")
			case <-work.Done():
			}
			return
		}
	})
	return work, func() { cancel(); wg.Wait() }
}

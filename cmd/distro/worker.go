package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

func newWorker(con *console) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker [QUEUE...]",
		Short: "Run the jobs of a Redis, in place of `rq worker`",
		Long: "Takes jobs from queues on Redis in RQ's layout and runs them, beside RQ's own workers, until it is\n" +
			"asked to end: then it starts no more jobs and waits for those that run; asked again after a second or\n" +
			"more, it kills them. Queues are looked into strictly in the order given; without any it is \"default\".\n\n" +
			"The Redis is that of --url, else RQ_REDIS_URL, else REDIS_URL (or REDIS_HOST, REDIS_PORT, REDIS_DB,\n" +
			"REDIS_PASSWORD), else redis://localhost:6379/0. RQ_REDIS_URL_FILE and REDIS_URL_FILE name a file\n" +
			"that holds the URL. Sentinel: sentinel://HOST:PORT,HOST:PORT/MASTER/DB.\n\n" +
			"Jobs import from the current folder, or from --modules. It takes every flag of `rq worker`, and names\n" +
			"those that have no effect. Through a link named rq, `rq worker` is `distro worker`.",
		Example: "  distro worker high default low\n" +
			"  distro worker --url redis://10.0.0.7:6379/1 --with-scheduler --concurrency 4 default\n" +
			"  REDIS_URL=redis://localhost:6379/1 distro worker --burst --isolation pool",
		RunE: func(cmd *cobra.Command, queues []string) error {
			return con.work(cmd.Context(), &f, cmd, queues)
		},
	}
	f.add(cmd)
	return cmd
}

// deafFor is how long after the first signal a second one is not heard: one
// Ctrl-C may come as two, from the terminal and from a process above.
const deafFor = time.Second

// killGrace is the time between asking a job to end and killing it.
const killGrace = 10 * time.Second

// work runs a worker until ctx ends and its jobs have ended, or it has done
// what it was to do.
func (con *console) work(ctx context.Context, f *workerFlags, cmd *cobra.Command, queues []string) error {
	level, err := f.level()
	if err != nil {
		return err
	}
	logger := con.logger(level)
	opts, err := f.options(con, cmd, queues)
	if err != nil {
		return err
	}
	if unused := f.unused(con, cmd); len(unused) > 0 {
		logger.WarnContext(ctx, "flags of rq worker without effect here", "flags", unused)
	}
	if f.pid != "" {
		if err := os.WriteFile(f.pid, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil { //nolint:gosec // others read it, as RQ's
			return fmt.Errorf("--pid: %w", err)
		}
	}
	opts.Logger = logger
	w, err := app.NewWorker(ctx, opts)
	if err != nil {
		return err
	}
	work, stop := workContext(ctx, ending{deaf: deafFor, listen: askedAgain}, logger)
	defer stop()
	return w.Run(ctx, work)
}

// options are what the flags amount to.
func (f *workerFlags) options(con *console, cmd *cobra.Command, queues []string) (app.WorkerOptions, error) {
	if err := f.check(con, cmd); err != nil {
		return app.WorkerOptions{}, err
	}
	here, err := os.Getwd()
	if err != nil {
		return app.WorkerOptions{}, fmt.Errorf("find the current folder: %w", err)
	}
	modules, err := folder("--modules", here, f.modules)
	if err != nil {
		return app.WorkerOptions{}, err
	}
	var path []string
	for _, dir := range f.path {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(here, dir)
		}
		path = append(path, dir)
	}
	if len(queues) == 0 {
		queues = []string{"default"}
	}
	var distinct []string
	for _, queue := range queues {
		if queue == "" {
			return app.WorkerOptions{}, usage("a queue has an empty name")
		}
		if !slices.Contains(distinct, queue) {
			distinct = append(distinct, queue)
		}
	}
	redis, origin, err := f.redisURL(con.getenv)
	if err != nil {
		return app.WorkerOptions{}, err
	}
	cache := ""
	if dir, err := os.UserCacheDir(); err == nil && f.install { // without one, the worker keeps its environment for itself
		cache = filepath.Join(dir, "distro")
	}
	if err := redisbroker.CheckURL(redis); err != nil {
		return app.WorkerOptions{}, usage("%s: %v", origin, err)
	}
	return app.WorkerOptions{
		URL: redis, Queues: distinct, Name: f.name, Slots: f.concurrency,
		Modules: modules, WorkDir: here, Path: path, Python: f.python, Isolation: f.isolation,
		Install: f.install, CacheDir: cache,
		Serializer: f.serializer, KillGrace: killGrace,
		Strategy: f.strategy(), Burst: f.burst, MaxJobs: f.maxJobs, MaxIdle: whole(f.maxIdle), Schedule: f.schedule,
		ResultTTL: resultTTL(cmd, f.resultTTL), WorkerTTL: whole(f.workerTTL), MonitorEvery: whole(f.monitorEvery),
		Environ: con.environ, Stdout: con.out, Stderr: con.err, Version: readBuild().Version,
	}, nil
}

// folder is a folder that a flag names, absolute.
func folder(flag, here, name string) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(here, path)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", usage("%s: %s: %v", flag, name, cause(err))
	case !info.IsDir():
		return "", usage("%s: %s is not a folder", flag, name)
	}
	return path, nil
}

// whole is a number of seconds.
func whole(seconds int) time.Duration { return time.Duration(seconds) * time.Second }

package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro"
)

// Commands are told to single workers through their queue, by name: those of a
// queue on Redis hear them, RQ's own too. heard is false where nobody listened;
// whether a worker obeys is not known.
type Commands interface {
	// StopWorker lets a worker end after the jobs it runs.
	StopWorker(ctx context.Context, name string) (heard bool, err error)
	// KillHorse kills the jobs that a worker runs; they fail.
	KillHorse(ctx context.Context, name string) (heard bool, err error)
}

// HasCommands reports whether single workers hear what StopWorker and KillHorse
// tell them.
func (s *Service) HasCommands() bool { return s.opts.Commands != nil }

// Workers returns the workers that beat lately, by name.
func (s *Service) Workers(ctx context.Context) ([]distro.Worker, error) {
	workers, err := s.opts.Broker.Workers(ctx)
	if err != nil {
		return nil, fault(fmt.Errorf("list workers: %w", err))
	}
	return workers, nil
}

// StopWorker asks a worker to end after the jobs it runs, and returns it as it
// was.
func (s *Service) StopWorker(ctx context.Context, name string) (distro.Worker, error) {
	return s.command(ctx, "stop", name, func(c Commands, w distro.Worker) (bool, error) { return c.StopWorker(ctx, w.Name) })
}

// KillHorse kills the jobs that a worker runs, and returns it as it was. They
// fail, and are tried again if they have retries left.
func (s *Service) KillHorse(ctx context.Context, name string) (distro.Worker, error) {
	return s.command(ctx, "kill-horse", name, func(c Commands, w distro.Worker) (bool, error) {
		if len(w.Running) == 0 {
			return false, distro.Errorf(distro.CodeConflict, "worker %.128q runs no job", name)
		}
		return c.KillHorse(ctx, w.Name)
	})
}

// command tells a worker something that it knows of.
func (s *Service) command(ctx context.Context, action, name string, tell func(Commands, distro.Worker) (bool, error)) (distro.Worker, error) {
	workers, err := s.Workers(ctx)
	if err != nil {
		return distro.Worker{}, err
	}
	i := slices.IndexFunc(workers, func(w distro.Worker) bool { return w.Name == name })
	if i < 0 {
		return distro.Worker{}, distro.Errorf(distro.CodeNotFound, "there is no worker %.128q", name)
	}
	if s.opts.Commands == nil {
		return distro.Worker{}, distro.Errorf(distro.CodeConflict,
			"worker %.128q is a part of `distro up` on its embedded queue, and hears no commands: stop its jobs, suspend it, or end `distro up`", name)
	}
	heard, err := tell(s.opts.Commands, workers[i])
	if err != nil {
		return distro.Worker{}, fault(fmt.Errorf("%s worker %q: %w", action, name, err))
	}
	if !heard {
		return distro.Worker{}, distro.Errorf(distro.CodeConflict,
			"worker %.128q does not listen: it has ended, or has lost its connection; look at it again in a minute", name)
	}
	s.opts.Logger.InfoContext(ctx, "worker operated", "action", action, "worker", name)
	return workers[i], nil
}

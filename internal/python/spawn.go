//go:build !linux

package python

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// spawner is the source of processes where there is no zygote: each is a cold
// interpreter, started ahead of need.
type spawner struct {
	runners *Runners
	orders  chan int
	wait    sync.WaitGroup
}

func newSource(r *Runners) (source, error) {
	if r.opts.Isolation != Spawn {
		r.opts.Logger.Warn("jobs get isolation spawn: the others need Linux", "asked", r.opts.Isolation)
	}
	return &spawner{runners: r, orders: make(chan int, 1024)}, nil
}

// possible is the isolation that jobs get where they are to have another.
func possible(Isolation) Isolation { return Spawn }

func (s *spawner) isolation() Isolation { return Spawn }

func (s *spawner) learned([]string) {}

func (s *spawner) order(n int) { s.orders <- n }

// retryAfter is the pause after a process that did not start.
const retryAfter = time.Second

func (s *spawner) run(ctx context.Context) error {
	defer s.wait.Wait()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case n := <-s.orders:
			for n > 0 {
				if err := s.start(ctx); err != nil {
					s.runners.opts.Logger.Error("a Python process did not start", "reason", err)
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(retryAfter):
					}
					continue
				}
				n--
			}
		}
	}
}

// start delivers one process. It is ended when ctx ends.
func (s *spawner) start(ctx context.Context) error {
	opts := s.runners.opts
	folders := s.runners.scratch.take()
	stdout, stdoutChild, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make an output pipe: %w", err)
	}
	defer stdoutChild.Close()
	stderr, stderrChild, err := os.Pipe()
	if err != nil {
		stdout.Close()
		return fmt.Errorf("make an output pipe: %w", err)
	}
	defer stderrChild.Close()
	cmd := exec.Command(opts.Interpreter.Path, "-X", "utf8", filepath.Join(s.runners.scripts, "runner.py"))
	cmd.Env, cmd.Dir = s.runners.environ(), opts.WorkDir
	cmd.Stdout, cmd.Stderr = stdoutChild, stderrChild
	group, channel, err := startInGroup(cmd, func(channel string) {
		cmd.Args = append(cmd.Args, channel, opts.Modules, opts.WorkDir, folders.Tmp, folders.Artifacts)
		cmd.Args = append(cmd.Args, opts.SysPath...)
	})
	if err != nil {
		s.runners.scratch.put(folders)
		stdout.Close()
		stderr.Close()
		return fmt.Errorf("start %s: %w", opts.Interpreter.Path, err)
	}
	out, err := newPipe(stdout, &s.runners.buffers)
	if err != nil {
		return err
	}
	errs, err := newPipe(stderr, &s.runners.buffers)
	if err != nil {
		return err
	}
	p := newRunner(cmd.Process.Pid, channel, out, errs, group.signal)
	p.scratch = folders
	stop := context.AfterFunc(ctx, func() { group.signal(syscall.SIGKILL) })
	s.wait.Go(func() {
		defer stop()
		_ = cmd.Wait() // its status is in ProcessState
		group.end()
		p.finish(exitOfState(cmd.ProcessState))
	})
	s.runners.deliver(p)
	return nil
}

func exitOfState(state *os.ProcessState) exitStatus {
	return exitStatus{code: state.ExitCode(), signal: signalOf(state), cpu: state.SystemTime() + state.UserTime()}
}

package python

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
)

// EnvironmentOptions say how environments are prepared.
type EnvironmentOptions struct {
	Dir       string        // absolute; environments are kept below it, also those of other folders of modules
	Within    time.Duration // longest preparation of one; default 15m
	LookEvery time.Duration // pause between two looks at requirements.txt; default 2s
	Retry     time.Duration // pause before a preparation that failed is tried again, doubled each time up to 16 times; default 1m
}

func (o EnvironmentOptions) withDefaults() EnvironmentOptions {
	if o.Within == 0 {
		o.Within = 15 * time.Minute
	}
	if o.LookEvery == 0 {
		o.LookEvery = 2 * time.Second
	}
	if o.Retry == 0 {
		o.Retry = time.Minute
	}
	return o
}

// Environments runs attempts as Runners do, with the packages that
// requirements.txt of Modules asks for. It prepares an environment for each
// content of that file beside the jobs that run, and begins attempts in the
// last one that was prepared; those that run end where they began. Where there
// is none yet, attempts wait until the first preparation has ended, well or
// not; where it has failed they run on Interpreter. Attempts are told by their
// Call.Note what they wait for, and why they miss something. Run must be
// running for attempts to make progress.
type Environments struct {
	opts  Options // Interpreter makes the environments
	env   EnvironmentOptions
	store environmentStore

	running sync.WaitGroup // of generations
	ended   chan error     // by each generation: why it ended; nil: it was retired

	mu      sync.Mutex
	now     serving
	changed chan struct{} // closed when now is another
	made    int           // generations
}

// serving is what attempts that begin find.
type serving struct {
	generation *generation // nil: not decided
	wait       bool        // for a better one
	line       string      // what attempts are told; empty: nothing
}

// generation is a set of Runners with one interpreter.
type generation struct {
	runners *Runners
	key     string             // of the environment; empty: it is Options.Interpreter
	users   int                // attempts that were let in and are not over; guarded by Environments.mu
	retired bool               // nobody is let in any more; guarded by Environments.mu
	unused  chan struct{}      // closed when retired and without users
	cancel  context.CancelFunc // ends the Runners
}

// generationsDir is where generations have their state directories, below that
// of all.
const generationsDir = "gen"

// generationsOf lists the state directories of generations that are there.
func generationsOf(stateDir string) []string {
	entries, err := os.ReadDir(filepath.Join(stateDir, generationsDir))
	if err != nil {
		return nil
	}
	dirs := make([]string, len(entries))
	for i, entry := range entries {
		dirs[i] = filepath.Join(stateDir, generationsDir, entry.Name())
	}
	return dirs
}

// clearGenerations removes what generations of an earlier process left.
func clearGenerations(stateDir string) error {
	for _, dir := range generationsOf(stateDir) {
		if err := errors.Join(removeAll(scratchOf(dir)), removeAll(dir)); err != nil {
			return fmt.Errorf("remove what an earlier run left: %w", err)
		}
	}
	return nil
}

// NewEnvironments prepares StateDir and Dir. What an earlier process left
// running there must have been ended before: see EndLeftovers.
func NewEnvironments(opts Options, env EnvironmentOptions) (*Environments, error) {
	opts = opts.withDefaults()
	e := &Environments{
		opts: opts, env: env.withDefaults(), store: environmentStore{env.Dir},
		ended: make(chan error), changed: make(chan struct{}),
	}
	if err := clearGenerations(opts.StateDir); err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Join(opts.StateDir, generationsDir), opts.Artifacts, env.Dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("prepare folders for environments: %w", err)
		}
	}
	e.now.wait = true // until Run has decided
	return e, nil
}

// Attempt prepares an attempt; Run runs it.
func (e *Environments) Attempt(call Call, output Output) *Attempt { return newAttempt(e, call, output) }

// Isolation returns what jobs get, as far as is known: see Runners.Isolation.
func (e *Environments) Isolation() Isolation {
	e.mu.Lock()
	defer e.mu.Unlock()
	if g := e.now.generation; g != nil {
		return g.runners.Isolation()
	}
	return possible(e.opts.Isolation)
}

// enter implements host.
func (e *Environments) enter(ctx context.Context, a *Attempt) (*Runners, func(), *stopOrder) {
	told := ""
	for {
		e.mu.Lock()
		now, changed := e.now, e.changed
		if !now.wait {
			now.generation.users++
		}
		e.mu.Unlock()
		if now.line != "" && now.line != told {
			a.call.Note(now.line)
			told = now.line
		}
		if !now.wait {
			return now.generation.runners, func() { e.leave(now.generation) }, nil
		}
		select {
		case <-changed:
		case order := <-a.stops:
			return nil, nil, &order
		case <-ctx.Done():
			return nil, nil, &stopOrder{kind: distro.FailureLost}
		}
	}
}

func (e *Environments) leave(g *generation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g.users--
	if g.retired && g.users == 0 {
		close(g.unused)
	}
}

// announce changes what attempts that begin find. The generation before, if it
// is another one, ends with its last attempt.
func (e *Environments) announce(now serving) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now == e.now {
		return
	}
	if old := e.now.generation; old != nil && old != now.generation {
		old.retired = true
		if old.users == 0 {
			close(old.unused)
		}
	}
	e.now = now
	close(e.changed)
	e.changed = make(chan struct{})
}

// launch starts a generation on an environment; nil: on Interpreter. The
// environment is closed when the generation has ended.
func (e *Environments) launch(ctx context.Context, env *environment) (*generation, error) {
	e.made++
	opts := e.opts
	opts.StateDir = filepath.Join(e.opts.StateDir, generationsDir, strconv.Itoa(e.made))
	g := &generation{unused: make(chan struct{})}
	if env != nil {
		opts.Interpreter, g.key = env.interpreter, env.key
	}
	var err error
	if g.runners, err = New(opts); err != nil {
		if env != nil {
			env.close()
		}
		return nil, err
	}
	inner, cancel := context.WithCancel(ctx)
	g.cancel = cancel
	e.running.Go(func() { e.end(ctx, opts.StateDir, env, g.run(ctx, inner)) })
	return g, nil
}

// run runs the Runners until ctx ends, or the generation is retired and what it
// ran is gone.
func (g *generation) run(ctx, inner context.Context) error {
	var others sync.WaitGroup
	defer others.Wait()
	defer g.cancel()
	others.Go(func() {
		select {
		case <-g.unused:
			g.runners.tails.Wait()
			g.cancel()
		case <-inner.Done():
		}
	})
	err := g.runners.Run(inner)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// end clears up behind a generation, and tells Run of it unless Run ends.
func (e *Environments) end(ctx context.Context, dir string, env *environment, err error) {
	if env != nil {
		env.close()
	}
	if left := os.RemoveAll(dir); left != nil {
		e.opts.Logger.Warn("a folder of processes that have ended stays until the next start", "folder", dir, "reason", left)
	}
	select {
	case e.ended <- err:
	case <-ctx.Done():
	}
}

// Run prepares environments and keeps processes ready in the last one until
// ctx ends, and returns when nothing of it is left. Attempts that still run
// then are killed.
func (e *Environments) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	err := newKeeper(e).run(ctx)
	cancel()
	e.running.Wait()
	return err
}

package python

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// keeper decides in which environment attempts begin. Only the goroutine of
// Environments.Run touches it.
type keeper struct {
	*Environments
	log    *slog.Logger
	memory memory

	last   glance  // at the requirements
	hinted *glance // a change that was seen once
	taken  glance  // what is wanted now comes of it

	wanted   plan
	trouble  error          // why there is no plan
	failure  *failedAttempt // at what is wanted; nil: none yet
	building *buildUnderWay // nil: none
	current  *generation    // nil: not decided
	tidied   bool           // what earlier processes left was removed
}

// failedAttempt is why what is wanted could not be prepared.
type failedAttempt struct {
	reason string
	pause  time.Duration
	retry  time.Time
}

// buildUnderWay is a preparation that runs.
type buildUnderWay struct {
	key       string
	cancel    context.CancelFunc
	abandoned bool // something else is wanted
	done      chan built
}

type built struct {
	env  *environment
	err  error
	took time.Duration
}

// glance is what a look at the requirements found.
type glance struct {
	wants requirements
	err   error
}

// sign tells glances apart that found different things.
func (g glance) sign() string {
	switch {
	case g.err != nil:
		return "unreadable: " + g.err.Error()
	case g.wants.none:
		return "none"
	}
	return hex.EncodeToString(g.wants.sum[:])
}

func newKeeper(e *Environments) *keeper {
	return &keeper{Environments: e, memory: e.store.recall(e.opts.Modules), log: e.opts.Logger.With("modules", e.opts.Modules)}
}

// run keeps until ctx ends. It returns when no preparation is under way.
func (k *keeper) run(ctx context.Context) error {
	defer k.abandon()
	ticker := time.NewTicker(k.env.LookEvery)
	defer ticker.Stop()
	k.last = k.glance()
	k.take(ctx, k.last)
	if err := k.resume(ctx); err != nil {
		return err
	}
	for {
		if err := k.step(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			k.look(ctx)
		case b := <-k.results():
			if err := k.finish(ctx, b); err != nil {
				return err
			}
		case err := <-k.ended:
			if err != nil {
				return err
			}
			k.tidy(ctx)
		}
	}
}

// glance looks at the requirements; where no file has changed, without reading.
func (k *keeper) glance() glance {
	if k.last.err == nil && k.last.wants.unchanged() {
		return k.last
	}
	wants, err := readRequirements(k.opts.Modules)
	return glance{wants, err}
}

// look takes a change when it was seen twice: who deploys may be in the middle
// of it.
func (k *keeper) look(ctx context.Context) {
	k.last = k.glance()
	switch sign := k.last.sign(); {
	case sign == k.taken.sign():
		k.hinted = nil
	case k.hinted != nil && k.hinted.sign() == sign:
		k.hinted = nil
		k.take(ctx, k.last)
	default:
		hint := k.last
		k.hinted = &hint
	}
}

// take makes what a look found the thing that is wanted.
func (k *keeper) take(ctx context.Context, found glance) {
	k.taken, k.failure = found, nil
	k.plan(ctx)
	if k.building != nil {
		k.building.abandoned = true
		k.building.cancel()
	}
}

// plan says how what is wanted is prepared. The tool is looked for anew: it may
// have been installed since.
func (k *keeper) plan(ctx context.Context) {
	k.wanted, k.trouble = plan{}, k.taken.err
	if k.trouble != nil || k.taken.wants.none {
		return
	}
	by, err := findTool(ctx, k.opts.Interpreter, k.opts.Environ)
	if err != nil {
		k.trouble = err
		return
	}
	k.wanted = newPlan(k.opts.Modules, k.opts.Interpreter, by, k.taken.wants)
}

// over reports whether keeping is to end.
func over(ctx context.Context) bool { return ctx.Err() != nil }

// none reports whether the requirements ask for nothing.
func (k *keeper) none() bool { return k.trouble == nil && k.wanted.key == "" }

// resume serves with the last good environment of an earlier process, where
// something else is wanted by now: that takes time, and may fail.
func (k *keeper) resume(ctx context.Context) error {
	if k.memory.Good == "" || k.none() || k.memory.Good == k.wanted.key {
		return nil
	}
	env := k.lastGood(ctx)
	if env == nil {
		return nil
	}
	var err error
	k.current, err = k.launch(ctx, env)
	return err
}

// lastGood opens the environment that served last; nil: it is not there any
// more.
func (k *keeper) lastGood(ctx context.Context) *environment {
	env, err := k.store.open(ctx, k.memory.Good)
	if err != nil {
		k.log.InfoContext(ctx, "the environment that served last is not there any more", "key", k.memory.Good, "reason", err)
	}
	return env
}

// step brings what serves nearer to what is wanted.
func (k *keeper) step(ctx context.Context) error {
	switch {
	case k.building != nil || over(ctx):
		return nil
	case k.none():
		return k.serve(ctx, nil)
	case k.current != nil && k.current.key != "" && k.current.key == k.wanted.key:
		return k.settle(ctx)
	case k.failure != nil && time.Now().Before(k.failure.retry):
		return nil
	case k.failure != nil:
		k.plan(ctx)
	}
	if k.trouble != nil {
		return k.fail(ctx, k.trouble)
	}
	env, err := k.store.open(ctx, k.wanted.key)
	switch {
	case err == nil:
		return k.serve(ctx, env)
	case !errors.Is(err, errNotPrepared):
		return k.fail(ctx, err)
	}
	return k.build(ctx)
}

// build begins to prepare what is wanted.
func (k *keeper) build(ctx context.Context) error {
	k.log.InfoContext(ctx, "preparing the environment of requirements.txt", "key", k.wanted.key,
		"tool", k.wanted.tool.String(), "log", k.store.logPath(k.wanted.key))
	limit, cancel := context.WithTimeoutCause(ctx, k.env.Within, fmt.Errorf("it took longer than %s", k.env.Within))
	b := &buildUnderWay{key: k.wanted.key, cancel: cancel, done: make(chan built, 1)}
	k.building = b
	wanted, shop := k.wanted, newWorkshop(k.opts.Environ, k.opts.StateDir)
	go func() {
		defer cancel()
		began := time.Now()
		env, err := k.store.prepare(limit, wanted, shop)
		b.done <- built{env, err, time.Since(began)}
	}()
	return k.meanwhile(ctx)
}

// results is where the preparation under way reports; nil: there is none.
func (k *keeper) results() <-chan built {
	if k.building == nil {
		return nil
	}
	return k.building.done
}

// abandon ends the preparation under way, and waits until nothing of it runs.
func (k *keeper) abandon() {
	if k.building == nil {
		return
	}
	k.building.cancel()
	if b := <-k.building.done; b.env != nil {
		b.env.close()
	}
}

// finish takes what a preparation came to.
func (k *keeper) finish(ctx context.Context, b built) error {
	ended := k.building
	k.building = nil
	switch {
	case ended.abandoned || over(ctx):
		if b.env != nil {
			b.env.close()
		}
		return nil // step looks what is wanted now
	case b.err != nil:
		return k.fail(ctx, b.err)
	}
	k.log.InfoContext(ctx, "the environment of requirements.txt is prepared", "key", ended.key, "duration", b.took.Round(time.Millisecond))
	return k.serve(ctx, b.env)
}

// serve lets attempts begin in what is wanted. Nil is the interpreter without
// an environment, where nothing is wanted.
func (k *keeper) serve(ctx context.Context, env *environment) error {
	if env != nil || k.current == nil || k.current.key != "" {
		g, err := k.launch(ctx, env)
		if err != nil && k.current != nil {
			return k.fail(ctx, err)
		}
		if err != nil {
			return err
		}
		k.current = g
		k.log.InfoContext(ctx, "jobs begin on another interpreter", "python", g.runners.opts.Interpreter.Path)
	}
	return k.settle(ctx)
}

// settle says that what serves is what is wanted.
func (k *keeper) settle(ctx context.Context) error {
	k.failure = nil
	k.announce(serving{generation: k.current})
	k.note(ctx, memory{Good: k.current.key})
	if !k.tidied {
		k.tidied = true
		k.tidy(ctx)
	}
	return nil
}

// Pauses between attempts to prepare the same thing double this often.
const maxDoublings = 4

// fail says why what is wanted does not serve, and when it is tried again.
func (k *keeper) fail(ctx context.Context, err error) error {
	if over(ctx) { // which is the reason
		return nil
	}
	pause := k.env.Retry
	if k.failure != nil {
		pause = min(2*k.failure.pause, k.env.Retry<<maxDoublings)
	}
	f := &failedAttempt{reason: err.Error(), pause: pause, retry: time.Now().Add(pause)}
	again := k.failure != nil && k.failure.reason == f.reason
	k.failure = f
	if err := k.meanwhile(ctx); err != nil {
		return err
	}
	if !again {
		k.log.ErrorContext(ctx, "the environment of requirements.txt cannot be prepared; it is tried again",
			"reason", f.reason, "log", k.logOf(), "jobs_begin_on", k.current.runners.opts.Interpreter.Path)
	}
	k.note(ctx, memory{Good: k.memory.Good, Failed: k.wanted.key, Reason: f.reason})
	return nil
}

// logOf is the log of the preparation that is wanted; empty: none has begun.
func (k *keeper) logOf() string {
	if k.trouble != nil {
		return ""
	}
	return k.store.logPath(k.wanted.key)
}

// meanwhile announces what serves while what is wanted does not.
func (k *keeper) meanwhile(ctx context.Context) error {
	earlier := k.current != nil && k.current.key != ""
	if k.failure != nil && k.current == nil {
		var err error
		if k.current, err = k.launch(ctx, nil); err != nil {
			return err
		}
	}
	now := serving{generation: k.current}
	switch {
	case earlier && k.failure == nil:
		now.line = fmt.Sprintf("this runs in the environment of an earlier requirements.txt: that of the present one is being prepared with %s", k.wanted.tool)
	case earlier:
		now.line = "this runs in the environment of an earlier requirements.txt: that of the present one cannot be prepared: " + k.failure.reason
	case k.failure == nil:
		now.wait = true
		now.line = fmt.Sprintf("waiting for the environment of requirements.txt, which is being prepared with %s", k.wanted.tool)
	default:
		now.line = fmt.Sprintf("this runs on %s without the packages of requirements.txt: their environment cannot be prepared: %s",
			k.current.runners.opts.Interpreter.Path, k.failure.reason)
	}
	k.announce(now)
	return nil
}

// note remembers how things stand, for the next process and for doctor.
func (k *keeper) note(ctx context.Context, m memory) {
	m.Modules = k.opts.Modules
	m.At = k.memory.At
	if m == k.memory {
		return
	}
	if err := k.store.remember(m); err != nil {
		k.log.WarnContext(ctx, "how the environment stands cannot be remembered: the next start prepares it anew if it was removed", "reason", err)
		return
	}
	k.memory = m
}

// tidy removes environments that nobody needs.
func (k *keeper) tidy(ctx context.Context) {
	if err := k.store.prune(k.wanted.key); err != nil {
		k.log.WarnContext(ctx, "old environments stay", "reason", err)
	}
}

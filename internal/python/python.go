// Package python is the only place that starts Python: it chooses the
// interpreter, lists what can be called under modules_path (Catalog), runs jobs
// in processes of their own (Runners), and installs what they need into
// environments (Environments).
//
// Three kinds of process are involved. The zygote is a small interpreter that
// forks and never runs user code; a runner is the process of a job; discovery
// parses sources and executes none of them. docs/python-protocol.md specifies
// what is said between them and this package.
package python

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
)

// scripts are the sources of the zygote and of the processes of jobs.
//
//go:embed zygote.py runner.py current.py sources.py pooled.py
var scripts embed.FS

// Isolation says what jobs share.
type Isolation string

// The isolations.
const (
	Fork  Isolation = "fork"  // a fresh process per job, forked from the zygote
	Pool  Isolation = "pool"  // processes take job after job
	Spawn Isolation = "spawn" // a cold interpreter per job
)

// Options configure Runners.
type Options struct {
	Interpreter Interpreter
	Modules     string    // modules_path, absolute
	WorkDir     string    // working directory of jobs; default: Modules
	SysPath     []string  // folders behind everything else on sys.path, absolute
	StateDir    string    // absolute; scratch folders, artifacts and scripts live here
	Artifacts   string    // absolute; where folders of files that jobs left are kept; default: artifacts of StateDir
	Isolation   Isolation // default: Fork where there is a zygote, else Spawn
	Slots       int       // jobs at a time; default 1
	KillGrace   time.Duration
	MemoryLimit int64    // resident bytes of a job with all its processes; 0: none
	Environ     []string // of the jobs; DISTRO_ names are left out
	Logger      *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.WorkDir == "" {
		o.WorkDir = o.Modules
	}
	if o.Artifacts == "" {
		o.Artifacts = filepath.Join(o.StateDir, ArtifactsDir)
	}
	if o.Slots == 0 {
		o.Slots = 1
	}
	if o.Isolation == "" {
		o.Isolation = Fork
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Runners keeps processes ready and runs attempts in them. Run must be running
// for attempts to make progress.
type Runners struct {
	opts    Options
	source  source
	scripts string // folder of the Python sources
	scratch *scratches
	idle    chan *runner
	buffers sync.Pool
	dying   chan struct{}  // one element per process that answered and has not ended
	tails   sync.WaitGroup // their ends

	mu      sync.Mutex
	ordered int // asked of source and not delivered
	alive   int // delivered and not ended
	busy    int // alive and with a job, or past one
}

// source starts the processes of jobs.
type source interface {
	// run serves until ctx ends; then every process it started is gone.
	run(ctx context.Context) error
	// order asks for n more processes. Each is delivered once, or dropped.
	order(n int)
	// learned names sources that jobs compiled and the source might keep.
	learned(paths []string)
	isolation() Isolation
}

// New prepares StateDir. What an earlier process left running there must have
// been ended before: see EndLeftovers.
func New(opts Options) (*Runners, error) {
	r := &Runners{opts: opts.withDefaults()}
	r.idle = make(chan *runner, 4*r.opts.Slots+4)
	r.dying = make(chan struct{}, r.opts.Slots)
	r.buffers.New = func() any { b := make([]byte, 64<<10); return &b }
	r.scripts = filepath.Join(r.opts.StateDir, "run")
	if err := os.RemoveAll(r.scripts); err != nil {
		return nil, fmt.Errorf("remove the Python scripts of another version: %w", err)
	}
	if err := clearGenerations(r.opts.StateDir); err != nil {
		return nil, err
	}
	for _, dir := range []string{r.scripts, r.opts.Artifacts} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("prepare the state directory: %w", err)
		}
	}
	if err := os.CopyFS(r.scripts, scripts); err != nil {
		return nil, fmt.Errorf("prepare the Python scripts: %w", err)
	}
	var err error
	if r.scratch, err = newScratches(r.opts.StateDir); err != nil {
		return nil, err
	}
	r.source, err = newSource(r)
	return r, err
}

// ArtifactsDir is the folder below StateDir where the files that jobs left are
// kept, in folders that Call.Artifacts names, unless Options.Artifacts says
// otherwise.
const ArtifactsDir = "artifacts"

// Isolation returns what jobs really get: Spawn where Fork was asked for and
// cannot be had.
func (r *Runners) Isolation() Isolation { return r.source.isolation() }

// Run keeps processes ready until ctx ends, and returns when none is left.
// Attempts that still run then are killed.
func (r *Runners) Run(ctx context.Context) error {
	r.refill()
	err := r.source.run(ctx)
	r.tails.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, r.scratch.remove())
}

// refill orders what is missing: there is one process more than slots, so that
// a job need not wait for the process of the one before.
func (r *Runners) refill() {
	r.mu.Lock()
	n := r.opts.Slots + 1 - r.ordered - (r.alive - r.busy)
	if r.source.isolation() == Pool {
		n -= r.busy
	}
	n = max(n, 0)
	r.ordered += n
	r.mu.Unlock()
	if n > 0 {
		r.source.order(n)
	}
}

// deliver takes a new process from the source.
func (r *Runners) deliver(p *runner) {
	r.mu.Lock()
	r.ordered = max(r.ordered-1, 0)
	r.alive++
	r.mu.Unlock()
	r.idle <- p
}

// forget drops all orders and the processes that wait: the source that had
// them is gone.
func (r *Runners) forget() {
	r.mu.Lock()
	r.ordered = 0
	r.mu.Unlock()
	for {
		select {
		case p := <-r.idle:
			r.mu.Lock()
			r.busy++ // as if it had been taken
			r.mu.Unlock()
			r.drop(p)
		default:
			return
		}
	}
}

// spare reports whether a process waits for a job.
func (r *Runners) spare() bool { return len(r.idle) > 0 }

// takeWithin is how long an attempt waits for a process.
const takeWithin = time.Minute

// take waits for a process that lives, and counts it busy. It returns the stop
// order that comes instead, if one does.
func (r *Runners) take(ctx context.Context, stops <-chan stopOrder) (*runner, *stopOrder, error) {
	timer := time.NewTimer(takeWithin)
	defer timer.Stop()
	for {
		select {
		case order := <-stops:
			return nil, &order, nil
		case <-timer.C:
			return nil, nil, fmt.Errorf("none could be started within %s", takeWithin)
		case p := <-r.idle:
			r.mu.Lock()
			r.busy++
			r.mu.Unlock()
			select {
			case <-p.exited:
				r.ended(p)
				continue
			default:
				return p, nil, nil
			}
		case <-ctx.Done():
			return nil, &stopOrder{kind: distro.FailureLost}, nil
		}
	}
}

// put gives a pooled process back.
func (r *Runners) put(p *runner) {
	r.mu.Lock()
	r.busy--
	r.mu.Unlock()
	r.idle <- p
}

// ended tells that a process that was taken has gone, and orders another.
func (r *Runners) ended(p *runner) {
	r.drop(p)
	r.refill()
}

func (r *Runners) drop(p *runner) {
	p.close()
	r.scratch.put(p.scratch)
	r.mu.Lock()
	r.busy--
	r.alive--
	r.mu.Unlock()
}

// environ is the environment processes start with. The one DISTRO_ name in it
// marks them as ours for EndLeftovers; they remove it before user code runs.
func (r *Runners) environ() []string { return markedEnviron(r.opts.Environ, r.opts.StateDir) }

// markedEnviron is an environment without the names of Distro, but for the mark
// of a state directory.
func markedEnviron(environ []string, stateDir string) []string {
	env := make([]string, 0, len(environ)+1)
	for _, entry := range environ {
		if !strings.HasPrefix(strings.ToUpper(entry), "DISTRO_") {
			env = append(env, entry)
		}
	}
	return append(env, runMark+"="+stateDir)
}

// runMark names the variable that marks processes of a state directory.
const runMark = "DISTRO_RUN"

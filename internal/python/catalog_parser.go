package python

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
)

const (
	// largeSource, in bytes, is too much for a process to be kept: Python
	// returns little of the memory it used.
	largeSource = 1 << 20

	startTimeout = 20 * time.Second
)

var errFileTimeout = errors.New("file takes too long to parse")

// parser keeps a discovery process while there are files to parse, and for some
// time after.
type parser struct {
	interpreter Interpreter
	fileTimeout time.Duration
	idleTimeout time.Duration
	ends        sync.WaitGroup // one per armed timer

	turn   chan struct{} // holds one element; who took it owns what follows
	proc   *discovery    // nil: none is running
	idle   *time.Timer   // ends proc; nil: not armed
	closed bool
}

func newParser(opts CatalogOptions) *parser {
	p := &parser{
		interpreter: opts.Interpreter, fileTimeout: opts.FileTimeout, idleTimeout: opts.IdleTimeout,
		turn: make(chan struct{}, 1),
	}
	p.turn <- struct{}{}
	return p
}

// take waits for the turn. It must be given back.
func (p *parser) take(ctx context.Context) error {
	select {
	case <-p.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.disarm()
	return nil
}

func (p *parser) give() {
	if p.proc != nil {
		p.ends.Add(1)
		p.idle = time.AfterFunc(p.idleTimeout, p.rest)
	}
	p.turn <- struct{}{}
}

func (p *parser) disarm() {
	if p.idle != nil && p.idle.Stop() {
		p.ends.Done()
	}
	p.idle = nil
}

// rest ends a process that nobody asked for long. If somebody has the turn,
// the timer will be armed anew.
func (p *parser) rest() {
	defer p.ends.Done()
	select {
	case <-p.turn:
		p.end(false)
		p.turn <- struct{}{}
	default:
	}
}

// close ends the process and returns when it and the timer are gone.
func (p *parser) close() {
	<-p.turn
	p.disarm()
	p.end(false)
	p.closed = true
	p.turn <- struct{}{}
	p.ends.Wait()
}

// parse asks the process, and starts one where there is none. The caller has
// the turn. An error is the cause of ctx, errFileTimeout, errDiscoveryDied, or
// distro.CodeUnavailable when no process can be started.
func (p *parser) parse(ctx context.Context, source []byte) (distro.Module, error) {
	if p.closed {
		return distro.Module{}, distro.Errorf(distro.CodeUnavailable, "the catalog is closed")
	}
	if err := p.start(ctx); err != nil {
		return distro.Module{}, err
	}
	limit, cancel := context.WithTimeoutCause(ctx, p.fileTimeout, errFileTimeout)
	defer cancel()
	module, err := p.proc.describe(limit, source)
	if err != nil {
		if said := p.end(true); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return distro.Module{}, err
	}
	if len(source) > largeSource {
		p.end(false)
	}
	return module, nil
}

func (p *parser) start(ctx context.Context) error {
	if p.proc != nil {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	proc, err := startDiscovery(limit, p.interpreter)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &distro.Error{Code: distro.CodeUnavailable, Message: "Python cannot be started to read the modules", Err: err}
	}
	p.proc = proc
	return nil
}

// end stops the process, if there is one, and returns what it said last.
func (p *parser) end(atOnce bool) string {
	if p.proc == nil {
		return ""
	}
	proc := p.proc
	p.proc = nil
	return proc.stop(atOnce)
}

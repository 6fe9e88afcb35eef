package shipping

import (
	"context"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro/internal/output"
)

// Attempt is the output of one attempt on its way. One goroutine per stream
// may write.
type Attempt struct {
	shipper *Shipper
	jobID   string
	number  int

	begin sync.Once
	run   *run // nil: nothing was written
}

// Write appends a chunk of a stream, as output.Writer does.
func (a *Attempt) Write(stream output.Stream, at time.Time, p []byte) error {
	a.begin.Do(func() { a.run = a.shipper.begin(a.jobID, a.number) })
	err := a.run.write(a.shipper.spool, stream, at, p)
	a.shipper.wrote(a.run, len(p))
	return err
}

// Note appends a line of the worker's own.
func (a *Attempt) Note(text string) error {
	return a.Write(output.Distro, time.Now(), []byte(text+"\n"))
}

// Close ends the output. It returns when all of it is sent, so that whoever
// hears of the end of the attempt finds it, and soon when that is not possible
// now. Nothing may be written beside it or after it.
func (a *Attempt) Close() {
	a.begin.Do(func() {})
	if a.run == nil {
		return
	}
	a.run.close()
	s := a.shipper
	if !s.end(a.run) {
		return
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-a.run.settled:
	case <-timer.C:
	case <-s.done:
	}
}

// run is what an attempt printed, in the spool under its own name.
type run struct {
	name    string
	jobID   string
	attempt int

	mu    sync.Mutex
	draft *output.Draft  // holds all of it while that is little
	w     *output.Writer // into the spool; nil: the draft has it
	over  bool           // nothing is written any more

	// Guarded by Shipper.mu.
	dirtyAt   time.Time // when something was first written that is not sent; zero: nothing was
	notBefore time.Time // nothing is sent before
	size      int64     // bytes written
	closed    bool
	gone      bool // it is sent, or given up

	settled chan struct{} // closed when Close need not wait any longer

	// Of the goroutine of Run.
	next  int64         // number of the line to send next
	pause time.Duration // after a call that found the bounds reached
}

func (r *run) write(spool *output.Store, stream output.Stream, at time.Time, p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w == nil && r.draft.Write(stream, at, p) {
		return nil
	}
	if err := r.store(spool); err != nil {
		return err
	}
	return r.w.Write(stream, at, p)
}

// store moves a draft into the spool. The lock is held.
func (r *run) store(spool *output.Store) error {
	if r.w != nil {
		return nil
	}
	r.w = spool.Writer(r.name, r.attempt)
	if err := r.draft.CopyTo(r.w); err != nil {
		return err
	}
	if r.over {
		r.w.Close()
	}
	return nil
}

func (r *run) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.w != nil {
		r.w.Close()
	}
}

// fragment returns lines from number from on, and whether they are the last.
func (r *run) fragment(ctx context.Context, spool *output.Store, from int64) (f output.Fragment, end bool, err error) {
	r.mu.Lock()
	over := r.over // before the lines are read: then they are all
	if over && r.w == nil {
		defer r.mu.Unlock()
		return r.draft.Fragment(), true, nil
	}
	err = r.store(spool)
	r.mu.Unlock()
	if err == nil {
		f, err = spool.Fragment(ctx, r.name, from, chunkSize)
	}
	return f, over && !f.More, err
}

// delete takes a run out of the spool.
func (r *run) delete(spool *output.Store) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w == nil {
		return nil
	}
	return spool.Delete(r.name)
}

// settle lets Close return. The lock is held.
func (r *run) settle() {
	select {
	case <-r.settled:
	default:
		close(r.settled)
	}
}
